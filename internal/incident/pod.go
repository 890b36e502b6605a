// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
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
	// Namespace is the namespace of Kubernetes that the pod is in.
	Namespace, UID string
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
	byPod map[digest]*PodEvent
	// order has the pods as they came, and inNamespace is how many of them are of each namespace: whoever may write events may
	// do so in his own ones.
	order       []digest
	inNamespace map[string]int
}

// add remembers an event; the first one of a pod, which has led to the others, unless it is older than these by more than a gap.
func (p *podEvents) add(pod digest, e *PodEvent, gap time.Duration) {
	if known := p.byPod[pod]; known != nil {
		if e.Time.Sub(known.Time) <= gap {
			return
		}
		p.take(pod)
	}
	if p.byPod == nil {
		p.byPod, p.inNamespace = map[digest]*PodEvent{}, map[string]int{}
	}
	if len(p.order) >= maxPodEvents {
		p.remove(p.oldestOfMost())
	}
	p.byPod[pod] = e
	p.order = append(p.order, pod)
	p.inNamespace[e.Namespace]++
}

// oldestOfMost returns where in the order the oldest event is of the namespace that has the most.
func (p *podEvents) oldestOfMost() int {
	most := p.byPod[p.order[0]].Namespace
	for namespace, count := range p.inNamespace {
		if count > p.inNamespace[most] {
			most = namespace
		}
	}
	return slices.IndexFunc(p.order, func(pod digest) bool { return p.byPod[pod].Namespace == most })
}

// remove forgets the event at a place in the order.
func (p *podEvents) remove(at int) {
	pod := p.order[at]
	namespace := p.byPod[pod].Namespace
	p.inNamespace[namespace]--
	if p.inNamespace[namespace] == 0 {
		delete(p.inNamespace, namespace)
	}
	delete(p.byPod, pod)
	p.order = slices.Delete(p.order, at, at+1)
}

// take forgets an event, such as once its incident has it.
func (p *podEvents) take(pod digest) {
	if at := slices.Index(p.order, pod); at >= 0 {
		p.remove(at)
	}
}

// expire forgets what is too old for any signal.
func (p *podEvents) expire(before time.Time) {
	for len(p.order) > 0 && p.byPod[p.order[0]].Time.Before(before) {
		p.remove(0)
	}
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
	known := &PodEvent{Namespace: strings.Clone(cut(e.Namespace)), Time: e.Time, Cause: e.Cause, By: strings.Clone(cut(e.By))}
	explained := false
	for i := range t.holders(podKey(pod)) {
		if i.reaches(e.Time, &t.config) {
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
	if i.pods.why[pod].Cause != "" {
		return
	}
	i.pods.set(pod, reason{e.Cause, e.By})
	t.store.explain(i, pod)
	t.note(i, true)
}

// addPod notes of which pod a new process of an incident is.
func (t *Table) addPod(i *incident, r *Record) {
	if r.Target.PodUID == "" {
		i.pods.others = true
		return
	}
	pod := t.hasher.sum("pod", r.Target.PodUID)
	if _, known := i.pods.why[pod]; known {
		return
	}
	i.pods.set(pod, reason{})
	t.store.explain(i, pod)
	t.addKey(i, podKey(pod))
	if e := t.podEvents.byPod[pod]; e != nil && i.reaches(e.Time, &t.config) {
		t.explain(i, pod, e)
		t.podEvents.take(pod)
	}
}

// absorbPods adds the pods of another incident.
func (t *Table) absorbPods(into, from *incident) {
	into.pods.others = into.pods.others || from.pods.others
	for pod, why := range from.pods.why {
		if into.pods.why[pod].Cause == "" {
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
