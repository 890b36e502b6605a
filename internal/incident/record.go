// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Record is what incidents need to know of one log record of the receiver; what is not known is empty. The table keeps
// none of it but short copies.
type Record struct {
	// Kind is KindSignal, KindAbend or KindOutcome.
	Kind kill.Kind
	// UID is log.record.uid.
	UID string
	// Time is when it happened. Last is when the last of Count signals was sent; zero if there is only one.
	Time, Last time.Time
	// Count is how many signals the record stands for; 0 stands for 1.
	Count int64

	HostID, HostName string
	// Addresses are those of the host (host.ip).
	Addresses []string
	// Source is kill.source.
	Source string

	// SignalNumber is negative if it is not known.
	SignalNumber int64
	SignalName   string
	// Failed is true if the signal was refused, Doubtful if nobody knows whether it was.
	Failed, Doubtful bool
	// Ignored is true if the target ignores the signal, or is about to end.
	Ignored bool
	// Kernel is true if the kernel has sent the signal on its own account. Sender is the process that has prompted it then.
	Kernel bool
	Cause  string
	// Evidence is kill.evidence.
	Evidence  string
	Outcome   string
	Escalated bool

	Target    Target
	Sender    Sender
	Requester Requester
	Initiator Initiator

	// UserID and UserName are those of the login behind it, Client where that came from, Session its number.
	UserID, UserName, Client, Session string
	// OOMCgroup is the control group whose limit was reached.
	OOMCgroup string

	// client is Client, if that is an address.
	client netip.Addr
	// session is the key of the session in which a user has done it; zero if not known.
	session key
}

// parseClient has an address that came over IPv4 be the same however a host writes it.
func (r *Record) parseClient() {
	r.client = netip.Addr{}
	if r.Client == "" {
		return
	}
	address, err := netip.ParseAddr(r.Client)
	if err != nil {
		return
	}
	if r.client = address.Unmap(); r.client != address {
		r.Client = r.client.String()
	}
}

// Target is the process that was signaled.
type Target struct {
	PID                           int64
	Start, Name, Executable       string
	Unit, Cgroup                  string
	Container, ContainerName      string
	PodUID, PodName, PodNamespace string
	// UserID and AuditUser are only needed if nobody has sent the signal.
	UserID, AuditUser string
}

// Sender is the process that sent the signal.
type Sender struct {
	PID                         int64
	Start, Name, Path, Unit     string
	UserID, UserName, AuditUser string
	// Foreign is true if the path is not one of the host.
	Foreign bool
}

// Requester is the process that asked the sender.
type Requester struct {
	PID                     int64
	Name, Path, Title, Unit string
	UserID, UserName        string
}

func (q *Requester) known() bool { return q.PID != 0 || q.Name != "" || q.Path != "" }

// Initiator is the process that began it.
type Initiator struct {
	PID         int64
	Name, Title string
}

// Signals returns how many signals the record stands for.
func (r *Record) Signals() int64 {
	if r.Kind == kill.KindOutcome {
		return 0
	}
	return min(max(r.Count, 1), maxCount)
}

// last returns when the last signal of the record was sent, which is no later than a limit.
func (r *Record) last(limit time.Duration) time.Time {
	if r.Last.Before(r.Time) || r.Last.Sub(r.Time) > limit {
		return r.Time
	}
	return r.Last
}

// user returns by what a login user is known: the name, which means the same person on each host, or else the
// id.
func (r *Record) user() string {
	switch {
	case r.UserName != "":
		return cutName(r.UserName)
	case r.UserID != "":
		return "#" + cutName(r.UserID)
	}
	return ""
}

// login returns by what a login user is known on a host: by the id, as not all records have the name.
func (r *Record) login() string {
	if r.UserID != "" {
		return "#" + cutName(r.UserID)
	}
	return r.user()
}

// logout reports whether a record is of what each logout brings along. systemd ends a user's manager and its helper after the last one,
// and what the manager runs is not among them (user@.service(5)). A shell that has ended its terminal itself is told so as well, and
// what ignores that goes on.
func (r *Record) logout() bool {
	cause, unit := kill.Cause(r.Cause), r.Target.Unit
	if cause == kill.CauseTerminalHangup && r.Ignored {
		return true
	}
	return (cause == kill.CauseSessionEnd || cause == kill.CauseParentDeath) && strings.HasPrefix(unit, "user@") &&
		strings.HasSuffix(r.Target.Cgroup, "/"+unit+"/init.scope")
}

// act reports whether the user of a record, if it has one, has done something. Otherwise it is whose session, terminal or process it was.
func (r *Record) act() bool {
	if cause := kill.Cause(r.Cause); cause.Befalls() {
		return cause == kill.CauseSessionKill && r.Requester.known()
	}
	return r.Kind != kill.KindAbend && !r.prompted()
}

// reaches reports whether the signal has got through, as far as that is known.
func (r *Record) reaches() bool { return !r.Failed && !r.Doubtful }

// prompted reports whether the kernel has sent the signal for what a process has done, without a cause that says what that was, such
// as open a file that the target has a lease of. Then that process is no sender.
func (r *Record) prompted() bool { return r.Kernel && r.Cause == "" }

// Unsent reports whether nobody but the kernel is known to have sent a signal, such as that of a crash.
func (r *Record) Unsent() bool {
	return r.Kernel || r.Kind == kill.KindAbend || r.Sender.PID == 0 && r.Sender.UserID == "" && r.Sender.AuditUser == ""
}

// Payer returns whose share of what is bounded the record takes up. What nobody has sent is the target's: anybody can have programs
// of his own crash. It is no longer than other texts that are kept.
func (r *Record) Payer() string {
	if r.Unsent() {
		switch user := r.Target.UserID; user {
		case "":
		case "0":
			return cutName(cmp.Or(r.Target.AuditUser, user))
		default:
			return cutName(answerable(user, ""))
		}
	}
	for _, user := range []string{r.Sender.UserID, r.Requester.UserID} {
		if user != "" && user != "0" {
			return cutName(answerable(user, r.UserID))
		}
	}
	return cutName(cmp.Or(r.Sender.AuditUser, r.UserID, r.Requester.UserID, r.Sender.UserID))
}

// answerable returns who pays for what a process of an ordinary user does: he himself, as who has no login yet may set it to
// anybody's, and in each of his children to another one (proc_loginuid_write and audit_set_loginuid of Linux). For a number that he may
// have for his namespaces, as he has thousands, the login pays that is believed; or else all numbers near to it together.
func answerable(user, login string) string {
	if !subordinate(user) {
		return user
	}
	if login != "" && !subordinate(login) {
		return login
	}
	number, _ := strconv.ParseUint(user, 10, 32)
	return "near " + strconv.FormatUint(number>>16<<16, 10)
}

// subordinate reports whether a number is one of those that users get for their namespaces (login.defs(5), SUB_UID_MIN and
// SUB_UID_MAX). Users of a directory may have such numbers as well.
func subordinate(id string) bool {
	n, err := strconv.ParseUint(id, 10, 32)
	return err == nil && n >= 100_000 && n <= 600_100_000
}

// identity returns what tells the record from others, if it has no uid.
func (r *Record) identity() []string {
	if r.UID != "" {
		return []string{r.HostID, r.UID}
	}
	return []string{
		r.HostID, "", string(r.Kind), strconv.FormatInt(r.Time.UnixNano(), 10), strconv.FormatInt(r.Target.PID, 10),
		strconv.FormatInt(r.Sender.PID, 10), strconv.FormatInt(r.SignalNumber, 10), r.Outcome, r.Source,
	}
}
