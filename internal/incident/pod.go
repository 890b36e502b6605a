// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// What Kubernetes did to a pod, which its node cannot know: the values of kill.cause that only incidents have.
const (
	PodLivenessProbe = "liveness_probe"
	PodStartupProbe  = "startup_probe"
	PodEviction      = "eviction"
	PodPreemption    = "preemption"
	PodDrain         = "drain"
)

// PodEvent is an event of Kubernetes that says why the processes of a pod are stopped.
type PodEvent struct {
	// Namespace is the namespace of Kubernetes that the pod is in. Proven is true if the event is in that as well, in which not
	// everybody may write events.
	Namespace, UID string
	Proven         bool
	// Time is when it happened.
	Time time.Time
	// Cause is one of those above, By the component that says so; empty if not known.
	Cause, By string
}

// maxPodEvents is how many events are remembered for signals that come later. Those of a pod that nobody signals are of no use.
const maxPodEvents = 10_000

// podEvents are events that came before the signals that they explain. They are not stored: an event that was followed by a
// restart before the signal came explains nothing.
type podEvents struct {
	byPod map[digest][]*heldEvent
	// order has them as they came, and inNamespace is how many of them are of each namespace, or of none that is proven: somebody may
	// be allowed to write events, but only in his own namespaces.
	order       []*heldEvent
	inNamespace map[string]int
}

// heldEvent is an event of a pod. Those of other namespaces say nothing true of it, as it is in one only, but which that is may not be
// known.
type heldEvent struct {
	*PodEvent
	pod digest
	// seen is when it was first looked at, by the clock of the caller: its own time may be any.
	seen time.Time
}

// add remembers an event; the first one of a pod, which has led to the others, unless it is older than these by more than a gap.
func (p *podEvents) add(pod digest, e *PodEvent, gap time.Duration) {
	for _, known := range p.byPod[pod] {
		if known.Namespace != e.Namespace {
			continue
		}
		if e.Time.Sub(known.Time) <= gap {
			return
		}
		p.remove(known)
		break
	}
	if p.byPod == nil {
		p.byPod, p.inNamespace = map[digest][]*heldEvent{}, map[string]int{}
	}
	if len(p.order) >= maxPodEvents {
		p.remove(p.oldestOfMost())
	}
	held := &heldEvent{PodEvent: e, pod: pod}
	p.byPod[pod] = append(p.byPod[pod], held)
	p.order = append(p.order, held)
	p.inNamespace[e.payer()]++
}

// of returns the event of a pod in a namespace, which is empty if that is not known; nil if there is none, or if events of several
// namespaces say different things.
func (p *podEvents) of(pod digest, namespace string) (found *heldEvent) {
	for _, e := range p.byPod[pod] {
		switch {
		case !sameNamespace(e.Namespace, namespace):
		case found != nil && found.Cause != e.Cause:
			return nil
		case found == nil:
			found = e
		}
	}
	return found
}

// sameNamespace reports whether two namespaces may be the same: they are empty if they are not known.
func sameNamespace(a, b string) bool { return a == b || a == "" || b == "" }

// payer returns the namespace that an event takes up room of.
func (e *PodEvent) payer() string {
	if e.Proven {
		return e.Namespace
	}
	return ""
}

// oldestOfMost returns the oldest event of the namespace that has the most.
func (p *podEvents) oldestOfMost() *heldEvent {
	most := p.order[0].payer()
	for namespace, count := range p.inNamespace {
		if count > p.inNamespace[most] {
			most = namespace
		}
	}
	return p.order[slices.IndexFunc(p.order, func(e *heldEvent) bool { return e.payer() == most })]
}

// remove forgets an event, such as once its incident has it.
func (p *podEvents) remove(e *heldEvent) {
	p.forget(e)
	at := slices.Index(p.order, e)
	p.order = slices.Delete(p.order, at, at+1)
}

// forget forgets an event but for its place in the order.
func (p *podEvents) forget(e *heldEvent) {
	payer := e.payer()
	p.inNamespace[payer]--
	if p.inNamespace[payer] == 0 {
		delete(p.inNamespace, payer)
	}
	left := slices.DeleteFunc(p.byPod[e.pod], func(other *heldEvent) bool { return other == e })
	if len(left) == 0 {
		delete(p.byPod, e.pod)
	} else {
		p.byPod[e.pod] = left
	}
}

// expire forgets what has waited for too long for its signals.
func (p *podEvents) expire(now time.Time) {
	p.order = slices.DeleteFunc(p.order, func(e *heldEvent) bool {
		if e.seen.IsZero() || now.Before(e.seen) { // it has just come, or the clock was set back
			e.seen = now
		}
		expired := now.Sub(e.seen) > Retention
		if expired {
			p.forget(e)
		}
		return expired
	})
}

// pods are those that an incident has processes of.
type pods struct {
	// why has what Kubernetes says about each; its zero value for nothing.
	why map[digest]reason
	// others is true if a process is of no pod that is known.
	others bool
}

type reason struct {
	Cause string `json:"c,omitempty"`
	By    string `json:"b,omitempty"`
	// Namespace is that of the pod; empty if not known.
	Namespace string `json:"n,omitempty"`
}

func (p *pods) set(pod digest, why reason) {
	if p.why == nil {
		p.why = map[digest]reason{}
	}
	p.why[pod] = why
}

// of returns what Kubernetes says about all pods; zero if not the same about each.
func (p *pods) of() (all reason) {
	if p.others {
		return reason{}
	}
	first := true
	for _, why := range p.why {
		switch {
		case first:
			all, first = why, false
		case why.Cause != all.Cause:
			return reason{}
		case why.By != all.By:
			all.By = ""
		}
	}
	return all
}

// Explain adds an event of Kubernetes, and reports whether an incident is known that it explains.
func (t *Table) Explain(e *PodEvent) bool {
	pod := t.hasher.sum("pod", e.UID)
	known := &PodEvent{
		Namespace: strings.Clone(cutTo(e.Namespace, longestNamespace)), Proven: e.Proven, Time: e.Time, Cause: e.Cause, By: strings.Clone(cutName(e.By)),
	}
	explained := false
	for i := range t.holders(podKey(pod)) {
		if sameNamespace(i.pods.why[pod].Namespace, known.Namespace) && i.reaches(e.Time, &t.config) {
			explained = true
			t.explain(i, pod, known)
		}
	}
	if !explained {
		t.podEvents.add(pod, known, t.config.Gap)
	}
	return explained
}

func podKey(pod digest) key {
	k := key(pod)
	k[0] = byte(byPod)
	return k
}

// explain notes why the processes of a pod were stopped, unless that is known.
func (t *Table) explain(i *incident, pod digest, e *PodEvent) {
	why := i.pods.why[pod]
	if why.Cause != "" {
		return
	}
	why.Cause, why.By = e.Cause, e.By
	i.pods.set(pod, why)
	t.store.explain(i, pod)
	t.note(i, true)
}

// addPod notes of which pod a new process of an incident is.
func (t *Table) addPod(i *incident, r *Record) {
	if r.Target.PodUID == "" {
		i.pods.others = true
		return
	}
	pod, namespace := t.hasher.sum("pod", r.Target.PodUID), cutTo(r.Target.PodNamespace, longestNamespace)
	why, known := i.pods.why[pod]
	if known && (why.Namespace != "" || namespace == "") {
		return
	}
	why.Namespace = strings.Clone(namespace)
	i.pods.set(pod, why)
	t.store.explain(i, pod)
	if known {
		return
	}
	t.addKey(i, podKey(pod))
	if e := t.podEvents.of(pod, namespace); e != nil && i.reaches(e.Time, &t.config) {
		t.explain(i, pod, e.PodEvent)
		t.podEvents.remove(e)
	}
}

// absorbPods adds the pods of another incident.
func (t *Table) absorbPods(into, from *incident) {
	into.pods.others = into.pods.others || from.pods.others
	for pod, why := range from.pods.why {
		if known := into.pods.why[pod]; known.Cause == "" {
			why.Namespace = cmp.Or(known.Namespace, why.Namespace)
			into.pods.set(pod, why)
		}
		t.store.explain(into, pod)
	}
}

// blame has a report say what Kubernetes did, where the node only knows that containers were stopped. Nobody has seen that
// the one led to the other: what they have in common is the pod and the time. Who is known to have asked for it himself stays
// the one who did.
func (r *Report) blame(i *incident) {
	why := i.pods.of()
	if why.Cause == "" || kill.Cause(r.Shared[Cause]) != kill.CauseContainerStop || i.users.Value != "" || i.shared.asked() {
		return
	}
	r.Shared[Cause], r.By, r.Inferred = why.Cause, why.By, true
}

// asked reports whether somebody else than a kubelet is known to have asked for what any member tells: of the others that need
// not be known.
func (s *sharing) asked() bool {
	name, user := &s[RequesterName], &s[RequesterUserID]
	if name.Value == "" && !name.Mixed {
		return s[RequesterPID].Value != "" || s[RequesterPath].Value != ""
	}
	return name.Mixed || !isKubelet(name.Value) || user.Mixed || user.Value != "" && user.Value != "0"
}
