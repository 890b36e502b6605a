// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kernellog

import (
	"math"
	"strconv"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// maxComm is the longest name of a process (include/linux/sched.h, TASK_COMM_LEN without its NUL).
	maxComm = 15
	// maxKilobytes is what a number of kB may be so that it fits into bytes.
	maxKilobytes = math.MaxInt64 >> 10
	// counterMax is the limit of a control group without one, on 64 bits with pages of 4 KiB, and a bit less for
	// larger pages (include/linux/page_counter.h, PAGE_COUNTER_MAX): no memory is that large.
	counterMax = 1 << 52
)

// victim is what "Killed process" says (mm/oom_kill.c, __oom_kill_process).
type victim struct {
	pid    int
	name   string
	user   kill.ID
	memory kill.Memory
	// ofGroup is true if a memory control group was out of memory, told if the message says whether one was.
	ofGroup, told bool
}

// invocation cuts the name from "NAME invoked oom-killer: gfp_mask=".
func invocation(text string) (name string, ok bool) {
	const what = " invoked oom-killer: gfp_mask="
	// The name may contain what follows it only in part, as it is shorter.
	i := strings.LastIndex(text[:min(len(text), maxComm+len(what))], what)
	if i < 0 || !strings.Contains(text[i:], "order=") {
		return "", false
	}
	return text[:i], true
}

// thread reads the id of the running thread from "CPU: 1 PID: 32073 Comm: ", since 6.11 "CPU: 1 UID: 0 PID: 32073
// Comm: " (lib/dump_stack.c).
//
// A warning of another processor may come in between, so the name after it has to fit.
func thread(text, name string) (id int, ok bool) {
	rest, ok := strings.CutPrefix(text, "CPU: ")
	if !ok {
		return 0, false
	}
	_, rest, _ = number(rest)
	if after, found := strings.CutPrefix(rest, " UID: "); found {
		_, rest, _ = number(after)
	}
	if rest, ok = strings.CutPrefix(rest, " PID: "); !ok {
		return 0, false
	}
	value, rest, ok := number(rest)
	return int(value), ok && value > 0 && value <= math.MaxInt32 && strings.HasPrefix(rest, " Comm: "+name+" ")
}

// usage reads "memory: usage 20480kB, limit 20480kB, failcnt 133" after its first word.
func usage(text, counter string) (used, limit kill.Amount, ok bool) {
	rest, ok := strings.CutPrefix(text, counter+": usage ")
	if !ok {
		return used, limit, false
	}
	usedKB, rest, ok := number(rest)
	if rest, ok = cutAfter(rest, "kB, limit ", ok); !ok {
		return used, limit, false
	}
	limitKB, rest, ok := number(rest)
	if !ok || !strings.HasPrefix(rest, "kB, failcnt ") {
		return used, limit, false
	}
	return kilobytes(usedKB), kilobytes(limitKB), true
}

// row reads the id of a process from a line of the table "Tasks state". Its first number is that of a process, not of
// one of its threads, if the third says the same.
func row(text string) (pid int, ok bool) {
	rest, ok := strings.CutPrefix(text, "[")
	if !ok {
		return 0, false
	}
	id, rest, ok := strings.Cut(rest, "]")
	fields := strings.Fields(rest[:min(len(rest), 64)])
	if !ok || len(fields) < 2 || strings.TrimSpace(id) != fields[1] {
		return 0, false
	}
	pid, err := strconv.Atoi(fields[1])
	return pid, err == nil && pid > 0
}

// sacrifice reports whether a message is the one that comes before "Killed process" until Linux 5.0: "Memory cgroup
// out of memory: Kill process 7 (name) score 1968 or sacrifice child". Its victim may be a child.
func sacrifice(text string) (ofGroup, ok bool) {
	rest, ofGroup, told := reason(text)
	return ofGroup, told && strings.HasPrefix(rest, "Kill process ") && strings.HasSuffix(rest, " or sacrifice child")
}

// reason cuts what was out of memory.
func reason(text string) (rest string, ofGroup, told bool) {
	if rest, ok := strings.CutPrefix(text, "Memory cgroup out of memory: "); ok {
		return rest, true, true
	}
	if rest, ok := strings.CutPrefix(text, "Out of memory: "); ok {
		return rest, false, true
	}
	if rest, ok := strings.CutPrefix(text, "Out of memory (oom_kill_allocating_task): "); ok {
		return rest, false, true
	}
	return text, false, false
}

// killed reads "Killed process 7 (name) total-vm:1kB, ...". The name may be anything, so what is before it is read from
// the left, and the figures after it fill the rest to the end.
func killed(text string) (v victim, ok bool) {
	rest, ofGroup, told := reason(text)
	v.ofGroup, v.told = ofGroup, told
	if rest, ok = strings.CutPrefix(rest, "Killed process "); !ok {
		return v, false
	}
	pid, rest, ok := number(rest)
	if !ok || pid <= 0 || pid > math.MaxInt32 {
		return v, false
	}
	v.pid = int(pid)
	if rest, ok = strings.CutPrefix(rest, " ("); !ok {
		return v, false
	}
	for i := 0; i <= min(len(rest), maxComm); i++ {
		if v.figures(rest[i:]) {
			v.name = rest[:i]
			return v, true
		}
	}
	return v, false
}

// figures reads what a victim held. It reports whether that is all that there is.
func (v *victim) figures(text string) bool {
	m, user := kill.Memory{}, kill.ID{}
	rest, ok := strings.CutPrefix(text, ")")
	if after, found := strings.CutPrefix(rest, ", UID "); found { // Red Hat's 3.10
		var id int64
		id, rest, ok = number(after)
		user = kill.NewID(uint32(id))
		ok = ok && id <= math.MaxUint32
	}
	rest, ok = cutAfter(strings.TrimPrefix(rest, ","), " total-vm:", ok)
	rest, ok = amount(rest, &m.TotalVM, ok)
	rest, ok = cutAfter(rest, ", anon-rss:", ok)
	rest, ok = amount(rest, &m.AnonRSS, ok)
	rest, ok = cutAfter(rest, ", file-rss:", ok)
	rest, ok = amount(rest, &m.FileRSS, ok)
	if after, found := strings.CutPrefix(rest, ", shmem-rss:"); found { // since 4.5
		rest, ok = amount(after, &m.ShmemRSS, ok)
	}
	rest = strings.TrimPrefix(rest, ",")
	if after, found := strings.CutPrefix(rest, " UID:"); found { // since 5.3
		var id int64
		id, rest, ok = numberAfter(after, ok)
		user = kill.NewID(uint32(id))
		ok = ok && id <= math.MaxUint32
	}
	if after, found := strings.CutPrefix(rest, " pgtables:"); found {
		rest, ok = amount(after, &m.PageTables, ok)
		m.PageTables = inKilobytes(m.PageTables)
	}
	if after, found := strings.CutPrefix(rest, " oom_score_adj:"); found {
		adj, err := strconv.ParseInt(after, 10, 16)
		rest, ok, m.ScoreAdj = "", ok && err == nil, kill.NewAmount(adj)
	}
	if !ok || strings.TrimRight(rest, " ") != "" {
		return false
	}
	v.memory, v.user = m, user
	return true
}

// inKilobytes drops what may be bytes: before 5.5, "pgtables:98304kB" were 98304 bytes.
func inKilobytes(tables kill.Amount) kill.Amount {
	if tables.Value>>10%4096 == 0 && tables.Value != 0 {
		return kill.Amount{}
	}
	return tables
}

// amount reads "78008kB".
func amount(text string, into *kill.Amount, before bool) (rest string, ok bool) {
	value, rest, ok := numberAfter(text, before)
	if !ok || value > maxKilobytes {
		return rest, false
	}
	*into = kill.NewAmount(value << 10)
	return cutAfter(rest, "kB", true)
}

// kilobytes is a counter of a control group; a limit that is none is unknown.
func kilobytes(value int64) kill.Amount {
	if value >= counterMax {
		return kill.Amount{}
	}
	return kill.NewAmount(value << 10)
}

// number reads the digits that a text begins with.
func number(text string) (value int64, rest string, ok bool) {
	i := 0
	for i < len(text) && text[i] >= '0' && text[i] <= '9' {
		i++
	}
	value, err := strconv.ParseInt(text[:i], 10, 64)
	return value, text[i:], err == nil
}

func numberAfter(text string, before bool) (value int64, rest string, ok bool) {
	value, rest, ok = number(text)
	return value, rest, ok && before
}

func cutAfter(text, prefix string, before bool) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(text, prefix)
	return rest, ok && before
}

// constraint returns what the kernel means by a name of mm/oom_kill.c, oom_constraint_text; empty if there is no such name.
func constraint(name string) kill.OOMConstraint {
	switch name {
	case "CONSTRAINT_NONE":
		return kill.OOMConstraintNone
	case "CONSTRAINT_CPUSET":
		return kill.OOMConstraintCpuset
	case "CONSTRAINT_MEMORY_POLICY":
		return kill.OOMConstraintMempolicy
	case "CONSTRAINT_MEMCG":
		return kill.OOMConstraintMemcg
	}
	return ""
}
