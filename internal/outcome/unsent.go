// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import "github.com/auditkill/auditkillreceiver/internal/kill"

// unsent adds the outcome of a process to which no signal was seen, or none that it can have died of: its tracer may have injected one,
// or it ended by itself. Its span lasts from the end to the end.
func (t *Table) unsent(end *kill.End) {
	who := instance{end.PID, end.Start}
	if survived, ok := t.survivors.known[who]; ok {
		t.survivors.forget(who)
		if number := end.Exit.Signal(); number == 0 || survived.has(number) {
			return // it may have taken its time
		}
	}
	if t.closed.has(who) {
		return // its end was told
	}
	trace := t.ids.instance(end.PID, end.Start)
	span := kill.Span{Trace: trace, ID: t.ids.termination(trace, end.PID, end.Time)}
	t.closed.remember(who, span)
	e := &kill.Event{
		Kind: kill.KindOutcome, Time: end.Time, TargetCount: -1, Complete: end.Complete && end.Start > t.survivors.forgotten, Source: end.Source,
		Outcome: &kill.Outcome{Span: span, Verdict: end.Exit.Verdict(), Exit: end.Exit, Unsent: true, Began: end.Time},
	}
	target := e.AddTarget()
	*target = *end.Process
	target.Span = span
	t.outcomes = append(t.outcomes, e)
}
