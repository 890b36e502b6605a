// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package diagnosis

// The names of the sources, as in auditkill watch --source.
const (
	SourceEBPF      = "ebpf"
	SourceMulticast = "multicast"
	SourceUnicast   = "unicast"
	SourceFile      = "file"
)

// Report is the conclusion from the facts.
type Report struct {
	// Usable is true if at least one source is.
	Usable bool `json:"usable"`
	// Chosen is the source that a receiver uses if none is configured; empty if none can be
	// opened.
	Chosen  string   `json:"chosen"`
	Sources []Source `json:"sources"`
	// Behind is what can be known about who is behind a signal.
	Behind []Behind `json:"behind"`
	// Warnings are problems that do not depend on the source.
	Warnings []Finding `json:"warnings"`
	Facts    *Facts    `json:"facts"`
}

// Source is the judgement on one source.
type Source struct {
	Name   string `json:"name"`
	Usable bool   `json:"usable"`
	// Reasons are why it is not usable, or what it will not see. Mend are commands and
	// settings that fix that.
	Reasons []string `json:"reasons"`
	Mend    []string `json:"mend"`

	// findings are both, in order.
	findings []Finding
	// opens is true if it can be opened, even if it will not see anything.
	opens bool
}

// Finding is a reason, and what fixes it.
type Finding struct {
	What string   `json:"what"`
	Mend []string `json:"mend"`
}

func finding(what string, mend ...string) Finding {
	if mend == nil {
		mend = []string{} // a list in JSON
	}
	return Finding{What: what, Mend: mend}
}

// newSource returns a source that is usable unless something stops it. Its reasons are what
// stops and what limits it.
func newSource(name string, stops, limits []Finding) Source {
	s := Source{
		Name: name, Usable: len(stops) == 0, opens: len(stops) == 0,
		Reasons: []string{}, Mend: []string{}, findings: append(stops, limits...),
	}
	for _, f := range s.findings {
		s.Reasons = append(s.Reasons, f.What)
		s.Mend = append(s.Mend, f.Mend...)
	}
	return s
}

// Judge draws the conclusions from the facts of a host.
func Judge(f *Facts) *Report {
	r := &Report{
		Sources: []Source{judgeEBPF(f), judgeMulticast(f), judgeUnicast(f), judgeFile(f)},
		Behind:  judgeBehind(f), Warnings: warnings(f), Facts: f,
	}
	for _, s := range r.Sources {
		r.Usable = r.Usable || s.Usable
	}
	r.Chosen = r.choose()
	return r
}

func (r *Report) opens(name string) bool {
	for _, s := range r.Sources {
		if s.Name == name {
			return s.opens
		}
	}
	return false
}

// choose does what the receiver does if no source is configured: it uses the first of ebpf,
// netlink and file that can be opened. netlink listens beside an audit daemon, or takes its
// place if there is none.
func (r *Report) choose() string {
	netlink := SourceMulticast
	if a := &r.Facts.Audit; a.known() && a.Daemon == nil && !a.stalls() {
		netlink = SourceUnicast
	}
	for _, name := range []string{SourceEBPF, netlink, SourceFile} {
		if r.opens(name) {
			return name
		}
	}
	return ""
}

// stalls reports whether system calls would have to wait for a process in the place of the
// daemon, because the settings that prevent that are locked.
func (a *Audit) stalls() bool { return a.State == AuditLocked && a.BacklogWaitTime > 0 }

// warnings returns problems with records, whichever source reads them.
func warnings(f *Facts) []Finding {
	found := []Finding{}
	a := &f.Audit
	few := a.BacklogLimit > 0 && a.BacklogLimit < usualBacklog // 0 is no limit
	switch {
	case !a.known():
	case a.BacklogLimit > 0 && a.Backlog > a.BacklogLimit/10*8:
		found = append(found, finding(
			text("%d records wait for the audit daemon; at %d, system calls wait too, or records are lost",
				a.Backlog, a.BacklogLimit), backlogCommand))
	case a.Lost > 0 && few:
		found = append(found, finding(
			text("the kernel has lost %d audit records since boot, and its queue holds only %d",
				a.Lost, a.BacklogLimit), backlogCommand))
	case a.Lost > 0:
		found = append(found, finding(text("the kernel has lost %d audit records since boot", a.Lost)))
	}
	if a.State == AuditOff && !a.FromBoot {
		found = append(found, finding("audit is off: if it was never on since boot, the kernel does not record processes that are running "+
			"already, even once it is on, until they are restarted; audit=1 on the kernel's command line prevents that"))
	}
	found = append(found, f.Log.unread()...)
	if l := &f.Log; l.Problem == LogReadable && l.Free >= 0 && l.Free < littleSpace {
		found = append(found, finding(text("the disk of %s has only %s left; when it is full, auditd stops writing "+
			"(disk_full_action in auditd.conf)", l.Path, size(l.Free)), "df -h "+quote(l.Path)))
	}
	return found
}

const (
	// usualBacklog is the limit that auditd's own rules set; the kernel's default is 64.
	usualBacklog   = 8192
	backlogCommand = "sudo auditctl -b 16384"
	// littleSpace is the free space at which auditd begins to warn: space_left = 75 megabytes
	// (auditd.conf(5)).
	littleSpace = 75 << 20
)
