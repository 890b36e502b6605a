// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"strconv"

	"go.opentelemetry.io/collector/pdata/ptrace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Traces turns outcomes into spans. It is not safe for concurrent use.
type Traces struct {
	*writer
	traces ptrace.Traces
	spans  ptrace.SpanSlice
}

// NewTraces returns an empty Traces.
func NewTraces(config Config) *Traces {
	t := &Traces{writer: newWriter(config)}
	t.reset()
	return t
}

func (t *Traces) reset() {
	t.traces = ptrace.NewTraces()
	resource := t.traces.ResourceSpans().AppendEmpty()
	resource.SetSchemaUrl(semconv.SchemaURL)
	t.resource(resource.Resource())
	scope := resource.ScopeSpans().AppendEmpty()
	scope.SetSchemaUrl(semconv.SchemaURL)
	t.scope(scope.Scope())
	t.spans = scope.Spans()
}

// Len returns how many spans were gathered.
func (t *Traces) Len() int { return t.spans.Len() }

// Take returns the gathered spans and starts again.
func (t *Traces) Take() ptrace.Traces {
	taken := t.traces
	t.reset()
	return taken
}

// Append adds the span of a termination (kill.KindOutcome), or of a call with several targets
// (kill.KindCall).
func (t *Traces) Append(e *kill.Event) {
	o := e.Outcome
	span := t.spans.AppendEmpty()
	span.SetTraceID(o.Span.Trace)
	span.SetSpanID(o.Span.ID)
	span.SetParentSpanID(o.Parent.ID)
	span.SetKind(ptrace.SpanKindInternal)
	span.SetStartTimestamp(timestamp(o.Began))
	span.SetEndTimestamp(timestamp(e.Time))
	if e.Kind == kill.KindCall {
		t.call(span, e)
	} else {
		t.termination(span, e)
	}
}

// termination writes the span of one process.
func (t *Traces) termination(span ptrace.Span, e *kill.Event) {
	o, target := e.Outcome, &e.Targets[0]
	span.SetName("terminate " + terminated(target))
	if o.Fails() {
		span.Status().SetCode(ptrace.StatusCodeError)
		span.Status().SetMessage(failMessage(e))
	}
	p := t.party(&e.Sender, target)
	shape := shapeOf(e, target)
	a := t.begin(shape)
	a.signal(e, nil)
	a.target(e, target, &p)
	t.sender(a, &e.Sender, e.Behind, &p)
	a.outcome(o, e.Time)
	a.outOfMemory(e, target)
	a.m.AppendEmpty("kill.complete").SetBool(e.Complete)
	a.text("kill.source", e.Source)
	a.id("kill.audit.session.id", e.Sender.Session)
	t.end(shape, span.Attributes())

	span.Events().EnsureCapacity(len(o.Signals))
	for i := range o.Signals {
		t.sent(span.Events().AppendEmpty(), &o.Signals[i])
	}
	span.SetDroppedEventsCount(uint32(o.Omitted))
}

// sent writes one signal and its sender as a span event.
func (t *Traces) sent(event ptrace.SpanEvent, s *kill.Sent) {
	event.SetName("signal")
	event.SetTimestamp(timestamp(s.Time))
	sent := kill.Event{
		Kind: kill.KindSignal, Signal: s.Signal, SignalKnown: true, Syscall: s.Syscall, Code: s.Code, Origin: s.Origin, Cause: s.Cause,
		Result: s.Result, Delivery: s.Delivery, Behind: s.Behind, OutOfMemory: s.OutOfMemory, Count: s.Count, LastTime: s.LastTime,
	}
	shape := ofSpanEvent | behindShape(s.Behind) | memoryShape(s.OutOfMemory)
	a := t.begin(shape)
	a.signal(&sent, nil)
	a.outOfMemory(&sent, &kill.Process{Memory: s.Memory})
	if s.Sender != nil {
		p := t.party(s.Sender, nil)
		t.sender(a, s.Sender, s.Behind, &p)
		a.id("kill.audit.session.id", s.Sender.Session)
	}
	t.end(shape, event.Attributes())
}

// call writes the span of a call with several targets, which lasts until the last of them has
// ended.
func (t *Traces) call(span ptrace.Span, e *kill.Event) {
	o, name := e.Outcome, "several processes"
	switch e.Scope {
	case kill.ScopeProcessGroup, kill.ScopeOwnProcessGroup:
		name = "process group"
	case kill.ScopeAll:
		name = "all processes"
	}
	span.SetName("terminate " + name)
	var all int
	for _, n := range o.Verdicts {
		all += n
	}
	if o.Failed > 0 {
		span.Status().SetCode(ptrace.StatusCodeError)
		span.Status().SetMessage(strconv.Itoa(o.Failed) + " of " + strconv.Itoa(all) +
			" were killed by SIGKILL, dumped core or survived")
	}
	p := t.party(&e.Sender, nil)
	shape := shapeOf(e, nil)
	a := t.begin(shape)
	a.signal(e, nil)
	if e.TargetCount >= 0 {
		a.integer("kill.target.count", int64(e.TargetCount))
	}
	t.sender(a, &e.Sender, e.Behind, &p)
	a.outOfMemory(e, nil)
	for _, v := range []kill.Verdict{
		kill.VerdictExited, kill.VerdictKilled, kill.VerdictCoreDumped, kill.VerdictSurvived, kill.VerdictEnded,
		kill.VerdictUnknown,
	} {
		if n := o.Verdicts[v]; n > 0 {
			a.integer("kill.outcomes."+string(v), int64(n))
		}
	}
	a.m.AppendEmpty("kill.duration").SetDouble(seconds(e.Time.Sub(o.Began)))
	a.m.AppendEmpty("kill.complete").SetBool(e.Complete)
	a.text("kill.source", e.Source)
	a.id("kill.audit.session.id", e.Sender.Session)
	t.end(shape, span.Attributes())
}
