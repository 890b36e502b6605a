// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// sender adds a sender, and who and what is behind it.
func (w *writer) sender(a attributes, p *kill.Process, b *kill.Behind, t *party) {
	a.sender(p, b.Person(p), t)
	w.ancestry(a, "kill.sender.ancestry", "kill.sender.ancestry_titles", p.Ancestry)
	if b != nil {
		w.behind(a, b)
	}
}

// behind adds what is behind a signal, as far as it is known.
func (w *writer) behind(a attributes, b *kill.Behind) {
	a.written("kill.evidence", string(b.Evidence))
	if b.Requester != nil {
		w.requester(a, b.Requester)
	}
	a.number("kill.requester.candidates", b.Candidates)
	if i := b.Initiator; i != nil {
		a.number("kill.initiator.pid", i.PID)
		a.text("kill.initiator.name", i.Command)
		a.written("kill.initiator.title", w.initiators.get(i))
	}
	if b.Session != nil {
		a.session(b.Session)
	}
}

func (w *writer) requester(a attributes, p *kill.Process) {
	a.number("kill.requester.pid", p.PID)
	a.number("kill.requester.parent_pid", p.ParentPID)
	a.text("kill.requester.name", p.Command)
	a.text("kill.requester.executable.path", p.Executable)
	if p.Home.Program == kill.WhoseOther && p.Executable != "" {
		a.known("kill.requester.mount_namespace", "other")
	}
	a.written("kill.requester.title", w.title(p.Title))
	a.user("kill.requester.user.id", "kill.requester.user.name", p.User)
	a.text("kill.requester.container.user.name", p.ContainerUser)
	if i := p.Instance; i != nil {
		a.text("kill.requester.systemd.unit", i.Unit)
		a.text("kill.requester.container.id", i.Container)
	}
	w.ancestry(a, "kill.requester.ancestry", "kill.requester.ancestry_titles", p.Ancestry)
}

// session adds where a login came from.
func (a attributes) session(s *kill.Session) {
	a.text("client.address", s.Address)
	a.number("client.port", s.Port)
	a.text("kill.session.id", s.ID)
	a.text("kill.session.service", s.Service)
	a.text("kill.session.tty", s.TTY)
	a.text("kill.session.user.name", s.UserName)
}
