// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// maxSpoken is how many bytes of a command line or the name of a unit a sentence has room for.
const maxSpoken = 256

// Sentence returns an incident as a sentence for people, the body of its record. It says what all members share, and
// "probably" where that was inferred:
//
//	apt-get upgrade of alice from 10.0.0.5 restarted mariadb.service on 40 hosts in 3m12s: 38 exited, 2 had to be killed
func (r *Report) Sentence() string {
	var buf []byte
	probably := ""
	if r.Probable() {
		probably = "probably "
	}
	if actor := r.actor(); len(actor) > 0 {
		buf = append(append(append(append(buf, probably...), actor...), ' '), r.verb()...)
		buf = r.appendObject(append(buf, ' '))
	} else {
		buf = append(r.appendObject(buf), r.were()...)
		buf = append(append(buf, probably...), r.participle()...)
		if !r.Act && r.Shared[Cause] != "" {
			buf = r.appendWhose(buf)
		}
		if r.By != "" {
			buf = appendWord(append(buf, " by "...), r.By, visible.NameLimit)
		}
	}
	buf = r.appendWhere(buf)
	buf = r.appendOutcomes(buf)
	if r.MergedInto != "" {
		buf = append(append(buf, "; it goes on in incident "...), r.MergedInto...)
	} else if !r.Complete {
		buf = append(buf, "; that is not all of it"...)
	}
	return string(buf)
}

// Probable reports whether the sentence says who or what is behind it, and that was inferred for some members.
func (r *Report) Probable() bool { return r.Inferred && (r.Shared[Cause] != "" || len(r.actor()) > 0) }

// actor returns who has done it, if somebody has.
func (r *Report) actor() []byte {
	if r.byKubernetes() || !r.Act {
		return nil
	}
	return r.appendActor(nil)
}

// appendActor appends who has done it, and from where; nothing if the members do not have that in common.
func (r *Report) appendActor(buf []byte) []byte {
	s := r.Shared
	managed := kill.Cause(s[Cause]).Managed()
	switch {
	case s[InitiatorTitle] != "":
		buf = appendCommand(buf, s[InitiatorTitle], maxSpoken)
	case s[InitiatorName] != "":
		buf = appendCommand(buf, s[InitiatorName], visible.NameLimit)
	case s[RequesterTitle] != "":
		buf = appendCommand(buf, s[RequesterTitle], maxSpoken)
	case s[RequesterName] != "":
		buf = appendCommand(buf, s[RequesterName], visible.NameLimit)
	case s[SenderName] != "" && !managed && s[Cause] == "":
		buf = appendCommand(buf, s[SenderName], visible.NameLimit)
	}
	user := r.user()
	switch {
	case user == "" && s[Client] == "" && len(buf) > 0:
		// Without "of alice" after it, a name could be taken for that of a user.
		return append([]byte("the program "), buf...)
	case user == "" && s[Client] != "" && len(buf) == 0:
		buf = append(buf, "somebody"...)
	case user != "" && len(buf) == 0:
		buf = append(buf, user...)
	case user != "":
		buf = append(append(buf, " of "...), user...)
	}
	if s[Client] != "" {
		buf = append(append(buf, " from "...), word(s[Client])...)
	}
	return buf
}

// appendWhose appends whose session or terminal it was, as far as all members share that.
func (r *Report) appendWhose(buf []byte) []byte {
	if user := r.user(); user != "" {
		buf = append(append(buf, " of "...), user...)
	}
	if client := r.Shared[Client]; client != "" {
		buf = append(append(buf, " from "...), word(client)...)
	}
	return buf
}

// user returns the user that all members share; empty if they do not.
func (r *Report) user() string {
	if name := r.Shared[UserName]; name != "" {
		return word(name)
	}
	if id := r.Shared[UserID]; id != "" {
		return "user " + id
	}
	return ""
}

// appendCommand appends a command line or the name of a program. Anybody can choose his, so what could be taken for a part of the
// sentence is in quotes.
func appendCommand(buf []byte, title string, limit int) []byte {
	const words = 4
	title = visible.Original(title)
	all := strings.Split(title, " ")
	if len(all) > words || slices.ContainsFunc(all[1:], spoken) {
		return visible.AppendQuoted(buf, title, limit)
	}
	if len(all) == 1 {
		return visible.AppendWord(buf, title, limit)
	}
	return visible.AppendWords(buf, title, limit)
}

// appendWord appends the value of an attribute, which is escaped already.
func appendWord(buf []byte, value string, limit int) []byte {
	return visible.AppendWord(buf, visible.Original(value), limit)
}

// word is appendWord for a name.
func word(name string) string { return string(appendWord(nil, name, visible.NameLimit)) }

// spoken reports whether a word could be one of the sentence.
func spoken(word string) bool {
	switch word {
	case "of", "from", "on", "in", "to", "and", "by", "was", "were", "had", "sent", "probably", "for", "with":
		return true
	}
	return strings.HasSuffix(word, "ed") || strings.HasSuffix(word, ":")
}

// verbs say what each cause is, as what somebody has done and as what was done.
var verbs = map[kill.Cause][2]string{
	kill.CauseServiceStop: {"stopped", "stopped"}, kill.CauseServiceRestart: {"restarted", "restarted"},
	kill.CauseServiceReload: {"reloaded", "reloaded"}, kill.CauseServiceKill: {"signaled", "signaled by a manager"},
	kill.CauseContainerStop: {"stopped", "stopped with the container"}, kill.CauseOOM: {"", "killed for lack of memory"},
	kill.CauseShutdown: {"shut down", "stopped by a shutdown"}, kill.CauseCrash: {"", "ended by a crash"},
	kill.CauseSeccomp: {"", "ended by seccomp"}, kill.CauseWatchdog: {"", "ended by a watchdog"},
	kill.CauseDependency:     {"stopped", "stopped because of another unit"},
	kill.CauseMainProcessEnd: {"", "ended after the main process"}, kill.CauseStopTimeout: {"", "killed after a stop that took too long"},
	kill.CauseStartTimeout: {"", "stopped after a start that took too long"}, kill.CauseRuntimeLimit: {"", "stopped at a limit of time"},
	kill.CauseOOMPolicy: {"", "stopped after a kill for lack of memory"}, kill.CauseMemoryPressure: {"", "killed for memory pressure"},
	kill.CauseSwapPressure: {"", "killed for swap pressure"}, kill.CauseSessionEnd: {"", "ended with the session"},
	kill.CauseSessionKill: {"", "ended with the session"}, kill.CauseTerminalKey: {"", "signaled by a key of the terminal"},
	kill.CauseTerminalHangup: {"", "signaled by the end of the terminal"}, kill.CauseCgroupKill: {"", "killed with a control group"},
	kill.CausePIDNamespaceEnd: {"", "killed with a pid namespace"}, kill.CauseParentDeath: {"", "signaled at the end of the parent"},
	kill.CauseCPULimit: {"", "ended at a limit of processor time"}, kill.CauseFileSizeLimit: {"", "ended at a limit of file size"},
	kill.CauseTimer: {"", "signaled by a timer"},
}

// OnlyTried reports whether no signal is known to have got through.
func (r *Report) OnlyTried() bool {
	return r.SignalCount > 0 && r.SignalCount == r.Failed+r.Doubtful && r.Exited+r.Killed+r.CoreDumped+r.Survived == 0
}

// verb returns what somebody did.
func (r *Report) verb() string {
	if verb := verbs[kill.Cause(r.Shared[Cause])][0]; verb != "" {
		return verb
	}
	if r.OnlyTried() {
		return "tried to signal"
	}
	if name := r.Shared[SignalName]; name != "" {
		return "sent " + word(name) + " to"
	}
	return "signaled"
}

// podParticiples say what Kubernetes did.
var podParticiples = map[string]string{
	PodLivenessProbe: "stopped after a failed liveness probe", PodStartupProbe: "stopped after a failed startup probe",
	PodEviction: "evicted", PodPreemption: "preempted", PodDrain: "drained",
}

// byKubernetes reports whether the kubelet only carries out what somebody else has decided.
func (r *Report) byKubernetes() bool { return podParticiples[r.Shared[Cause]] != "" }

// participle returns what was done, where nobody is known to have done it.
func (r *Report) participle() string {
	if participle := podParticiples[r.Shared[Cause]]; participle != "" {
		return participle
	}
	cause := kill.Cause(r.Shared[Cause])
	if cause == kill.CauseSeccomp && r.OnlyTried() { // it may have ended a thread
		return "signaled by seccomp"
	}
	if participle := verbs[cause][1]; participle != "" {
		return participle
	}
	if r.SignalCount == 0 {
		return "ended"
	}
	if name := r.Shared[SignalName]; name != "" {
		return "sent " + word(name)
	}
	return "signaled"
}

// were is the auxiliary before the participle.
func (r *Report) were() string {
	switch {
	case r.SignalCount == 0 && r.Shared[Cause] == "":
		return " "
	case r.Shared[TargetUnit] != "", r.TargetCount < 2:
		return " was "
	}
	return " were "
}

// appendObject appends what it was done to: a unit, or so many processes.
func (r *Report) appendObject(buf []byte) []byte {
	if unit := r.Shared[TargetUnit]; unit != "" {
		return appendWord(buf, unit, maxSpoken)
	}
	if r.TargetCount == 0 {
		return append(buf, "an unknown process"...)
	}
	buf = append(strconv.AppendInt(buf, int64(r.TargetCount), 10), " processes"...)
	if r.TargetCount == 1 {
		buf = buf[:len(buf)-len("es")]
	}
	if name := r.Shared[TargetName]; name != "" {
		buf = appendWord(append(buf, " ("...), name, visible.NameLimit)
		buf = append(buf, ')')
	}
	return buf
}

// appendWhere appends on how many hosts it was, and how long it took.
func (r *Report) appendWhere(buf []byte) []byte {
	if r.HostCount == 1 {
		buf = appendWord(append(buf, " on "...), r.Hosts[0], maxSpoken)
	} else {
		buf = append(strconv.AppendInt(append(buf, " on "...), int64(r.HostCount), 10), " hosts"...)
	}
	if took := r.End.Sub(r.Start).Round(time.Second); took > 0 {
		buf = append(append(buf, " in "...), took.String()...)
	}
	return buf
}

// appendOutcomes appends what became of the targets.
func (r *Report) appendOutcomes(buf []byte) []byte {
	separator := ": "
	add := func(n int64, what string) {
		if n > 0 {
			buf = append(strconv.AppendInt(append(buf, separator...), n, 10), what...)
			separator = ", "
		}
	}
	// Whom only SIGKILL has ended is told as that; an escalated one may still have exited.
	forced := min(r.Escalated, r.Killed)
	add(int64(r.Exited), " exited")
	add(int64(r.Killed-forced), " killed")
	add(int64(forced), " had to be killed")
	add(int64(r.CoreDumped), " dumped core")
	add(int64(r.Survived), " survived")
	add(r.Failed, " refused")
	add(r.Doubtful, " of unknown result")
	return buf
}
