// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func ofPod(uid string) func(*Record) {
	return func(r *Record) {
		pod("shop", "web-"+uid)(r)
		r.Target.PodUID = uid
	}
}

func podEvent(seconds float64, uid, cause, by string) *PodEvent {
	return &PodEvent{UID: uid, Time: noon.Add(time.Duration(seconds * float64(time.Second))), Cause: cause, By: by}
}

// TestExplain has events of Kubernetes say why pods were stopped, before and after the signals.
func TestExplain(t *testing.T) {
	t.Parallel()
	both := func(cause, by string) []*PodEvent {
		return []*PodEvent{podEvent(0, "1", cause, by), podEvent(1, "2", cause, by)}
	}
	const unknown = "the program kubelet stopped 2 processes (mysqld) on node in 2s"
	for name, tt := range map[string]struct {
		events []*PodEvent
		want   string
	}{
		"drained":                        {both(PodDrain, "cluster-autoscaler"), "2 processes (mysqld) were probably drained by cluster-autoscaler on node in 2s"},
		"evicted":                        {both(PodEviction, ""), "2 processes (mysqld) were probably evicted on node in 2s"},
		"preempted":                      {both(PodPreemption, "default-scheduler"), "2 processes (mysqld) were probably preempted by default-scheduler on node in 2s"},
		"a failed probe":                 {both(PodLivenessProbe, ""), "2 processes (mysqld) were probably stopped after a failed liveness probe on node in 2s"},
		"a forged name":                  {both(PodDrain, "root on all hosts"), `2 processes (mysqld) were probably drained by "root on all hosts" on node in 2s`},
		"nothing":                        {nil, unknown},
		"one of the two":                 {both(PodEviction, "")[:1], unknown},
		"different things":               {[]*PodEvent{podEvent(0, "1", PodDrain, ""), podEvent(0, "2", PodEviction, "")}, unknown},
		"by different ones":              {[]*PodEvent{podEvent(0, "1", PodDrain, "a"), podEvent(0, "2", PodDrain, "b")}, "2 processes (mysqld) were probably drained on node in 2s"},
		"too early":                      {[]*PodEvent{podEvent(-90, "1", PodDrain, ""), podEvent(-90, "2", PodDrain, "")}, unknown},
		"of another pod":                 {[]*PodEvent{podEvent(0, "3", PodDrain, ""), podEvent(0, "2", PodDrain, "")}, unknown},
		"the first one led to the other": {append(both(PodEviction, ""), both(PodDrain, "")...), "2 processes (mysqld) were probably evicted on node in 2s"},
	} {
		for order, before := range map[string]bool{"before": true, "after": false} {
			t.Run(fmt.Sprint(name, " ", order), func(t *testing.T) {
				t.Parallel()
				f, kept := &telling{table: NewTable(persistent()), now: noon, last: map[string]*Report{}}, stored{}
				explain := func() {
					for _, e := range tt.events {
						f.table.Explain(e)
					}
				}
				if before {
					explain()
				}
				f.add(at(0, "node", 7, ofPod("1")), at(2, "node", 8, ofPod("2")))
				if !before {
					explain()
				}
				f.table = kept.restarted(t, f.table)
				reports := f.end()
				require.Len(t, reports, 1)
				assert.Equal(t, tt.want, reports[0].Sentence())
			})
		}
	}
}

// TestExplainOnlyStops has an event say nothing about what did not come from the kubelet, or is of no pod.
func TestExplainOnlyStops(t *testing.T) {
	t.Parallel()
	for name, with := range map[string]func(*Record){
		"a lack of memory": func(r *Record) { ofPod("1")(r); oom("/x")(r) },
		"of no pod":        func(r *Record) { pod("shop", "web")(r) },
	} {
		f := &telling{table: NewTable(usual()), now: noon, last: map[string]*Report{}}
		f.add(at(0, "node", 7, ofPod("1")), at(0, "node", 8, with))
		f.table.Explain(podEvent(0, "1", PodDrain, ""))
		for _, r := range f.end() {
			assert.NotContains(t, r.Sentence(), "drained", name)
			assert.NotEqual(t, PodDrain, r.Shared[Cause], name)
		}
	}
}

// TestExplainNobodyAway has somebody stop containers himself while an event of Kubernetes, which whoever may write events can
// make about any pod, says that they were evicted.
func TestExplainNobodyAway(t *testing.T) {
	t.Parallel()
	alice := func(r *Record) {
		askedBy(70, "crictl")(r)
		login("alice", "10.0.0.5", "3")(r)
	}
	script, k3s := askedBy(71, "cleanup.sh"), func(r *Record) { r.Requester = Requester{PID: 700, Name: "k3s-server", UserID: "0"} }
	for name, tt := range map[string]struct {
		first, second func(*Record)
		want          string
	}{
		"a person":           {alice, alice, "crictl restart mariadb of alice from 10.0.0.5 stopped 2 processes (mysqld) on node in 2s"},
		"one of two":         {alice, func(*Record) {}, "2 processes (mysqld) were stopped with the container on node in 2s"},
		"a program":          {script, script, "the program cleanup.sh restart mariadb stopped 2 processes (mysqld) on node in 2s"},
		"the kubelet in k3s": {k3s, k3s, "2 processes (mysqld) were probably evicted on node in 2s"},
		"nobody known":       {func(r *Record) { r.Requester = Requester{} }, func(r *Record) { r.Requester = Requester{} }, "2 processes (mysqld) were probably evicted on node in 2s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &telling{table: NewTable(usual()), now: noon, last: map[string]*Report{}}
			onNode := func(r *Record) { r.Sender = Sender{PID: 900, Name: "runc", UserID: "0"}; r.Target.Container = "c" }
			f.add(at(0, "node", 7, ofPod("1"), tt.first, onNode), at(2, "node", 8, ofPod("2"), tt.second, onNode))
			f.table.Explain(podEvent(0, "1", PodEviction, ""))
			f.table.Explain(podEvent(0, "2", PodEviction, ""))
			reports := f.end()
			require.Len(t, reports, 1)
			assert.Equal(t, tt.want, reports[0].Sentence())
		})
	}
}

// TestExplainNoMemberAway has it be known of one process only who has asked for its stop, or of two that these were two.
func TestExplainNoMemberAway(t *testing.T) {
	t.Parallel()
	nobody, kubelet := func(r *Record) { r.Requester = Requester{} }, func(*Record) {}
	script, other := askedBy(71, "cleanup.sh"), func(r *Record) { r.Requester, r.Initiator = Requester{PID: 72, Name: "other.sh"}, Initiator{PID: 5} }
	nameless := func(r *Record) { r.Requester = Requester{PID: 73, Path: "/home/alice/x"} }
	namesake := func(r *Record) { r.Requester = Requester{PID: 74, Name: "kubelet", UserID: "33"} }
	for name, tt := range map[string]struct {
		first, second func(*Record)
		evicted       bool
	}{
		"a script and nobody known": {script, nobody, false}, "two scripts": {script, other, false},
		"a script and the kubelet": {script, kubelet, false}, "one without a name": {nameless, nobody, false},
		"a program that is called like a kubelet": {namesake, nobody, false}, "the kubelet and nobody known": {kubelet, nobody, true},
	} {
		for order, pair := range map[string][2]func(*Record){"in order": {tt.first, tt.second}, "in another order": {tt.second, tt.first}} {
			t.Run(name+", "+order, func(t *testing.T) {
				t.Parallel()
				f := &telling{table: NewTable(usual()), now: noon, last: map[string]*Report{}}
				onNode := func(r *Record) { r.Sender = Sender{PID: 900, Name: "runc", UserID: "0"}; r.Target.Container = "c" }
				f.add(at(0, "node", 7, ofPod("1"), pair[0], onNode), at(2, "node", 8, ofPod("1"), pair[1], onNode))
				f.table.Explain(podEvent(0, "1", PodEviction, ""))
				reports := f.end()
				require.Len(t, reports, 1)
				assert.Equal(t, tt.evicted, reports[0].Shared[Cause] == PodEviction, reports[0].Sentence())
			})
		}
	}
}

// TestExplainAgain has an event of long ago, of which no signals were seen, not keep a pod from being explained by a later one.
func TestExplainAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		earlier, later float64
		want           string
	}{
		"ten minutes": {-600, 0, PodEviction}, "what has led to it": {-5, 0, PodLivenessProbe}, "late, of long ago": {0, -600, PodLivenessProbe},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &telling{table: NewTable(usual()), now: noon, last: map[string]*Report{}}
			for _, uid := range []string{"1", "2"} {
				f.table.Explain(podEvent(tt.earlier, uid, PodLivenessProbe, ""))
				f.table.Explain(podEvent(tt.later, uid, PodEviction, ""))
			}
			assert.Len(t, f.table.podEvents.order, 2)
			f.add(at(1, "node", 7, ofPod("1")), at(2, "node", 8, ofPod("2")))
			reports := f.end()
			require.Len(t, reports, 1)
			assert.Equal(t, tt.want, reports[0].Shared[Cause])
			assert.Empty(t, f.table.podEvents.order)
		})
	}
}

func TestPodEventsAreBounded(t *testing.T) {
	t.Parallel()
	table := NewTable(usual())
	for n := range 3 * maxPodEvents {
		table.Explain(podEvent(0, strconv.Itoa(n), PodDrain, ""))
	}
	assert.Len(t, table.podEvents.byPod, maxPodEvents)
	assert.Len(t, table.podEvents.order, maxPodEvents)
	table.Tick(noon)
	table.Tick(noon.Add(2 * Retention))
	assert.Empty(t, table.podEvents.byPod)
	assert.Empty(t, table.podEvents.order)
	assert.Empty(t, table.podEvents.inNamespace)
}

// TestPodEventsOfOneNamespace has somebody write very many events about pods of his own.
func TestPodEventsOfOneNamespace(t *testing.T) {
	t.Parallel()
	table := NewTable(usual())
	add := func(namespace, uid string) {
		e := podEvent(0, uid, PodEviction, "")
		e.Namespace, e.Proven = namespace, true
		table.Explain(e)
	}
	add("shop", "web")
	for n := range 2 * maxPodEvents {
		add("his", strconv.Itoa(n))
	}
	for n := range maxPodEvents { // which he has invented
		table.Explain(&PodEvent{UID: "x" + strconv.Itoa(n), Namespace: strconv.Itoa(n), Time: noon, Cause: PodDrain})
	}
	add("shop", "db")
	assert.Len(t, table.podEvents.order, maxPodEvents)
	assert.Equal(t, 2, table.podEvents.inNamespace["shop"])
	assert.Len(t, table.podEvents.inNamespace, 3)
	for _, uid := range []string{"web", "db"} {
		assert.Contains(t, table.podEvents.byPod, table.hasher.sum("pod", uid))
	}
}

// TestEventsOfOtherNamespaces has somebody write events in a namespace of his own about the pods of others.
func TestEventsOfOtherNamespaces(t *testing.T) {
	t.Parallel()
	const stopped = string(kill.CauseContainerStop) // as the node has it
	inNamespace := func(namespace, uid, cause string) *PodEvent {
		e := podEvent(0, uid, cause, "")
		e.Namespace = namespace
		return e
	}
	for name, tt := range map[string]struct {
		namespace string
		events    []*PodEvent
		want      string
	}{
		"only his":              {"shop", []*PodEvent{inNamespace("his", "1", PodDrain)}, stopped},
		"his before the true":   {"shop", []*PodEvent{inNamespace("his", "1", PodDrain), inNamespace("shop", "1", PodEviction)}, PodEviction},
		"his after the true":    {"shop", []*PodEvent{inNamespace("shop", "1", PodEviction), inNamespace("his", "1", PodDrain)}, PodEviction},
		"it is not known which": {"", []*PodEvent{inNamespace("shop", "1", PodEviction), inNamespace("his", "1", PodDrain)}, stopped},
		"one that is not known": {"", []*PodEvent{inNamespace("shop", "1", PodEviction)}, PodEviction},
	} {
		for _, late := range []bool{false, true} {
			if late && tt.namespace == "" {
				continue // the first one counts
			}
			t.Run(fmt.Sprintf("%s/%t", name, late), func(t *testing.T) {
				t.Parallel()
				f := &telling{table: NewTable(usual()), now: noon, last: map[string]*Report{}}
				explain := func() {
					for _, e := range tt.events {
						f.table.Explain(e)
					}
				}
				of := func(r *Record) {
					ofPod("1")(r)
					r.Target.PodNamespace = tt.namespace
				}
				if !late {
					explain()
				}
				f.add(at(1, "node", 7, of), at(2, "node", 8, of))
				if late {
					explain()
				}
				reports := f.end()
				require.Len(t, reports, 1)
				assert.Equal(t, tt.want, reports[0].Shared[Cause])
			})
		}
	}
}

// TestEventsOfAnyTimeAreForgotten has an event say that it happens in fifty years.
func TestEventsOfAnyTimeAreForgotten(t *testing.T) {
	t.Parallel()
	table := NewTable(usual())
	table.Explain(&PodEvent{UID: "later", Time: noon.AddDate(50, 0, 0), Cause: PodEviction})
	for n := range 100 {
		table.Explain(&PodEvent{UID: strconv.Itoa(n), Time: noon, Cause: PodEviction})
	}
	table.Tick(noon)
	assert.Len(t, table.podEvents.order, 101)
	table.Tick(noon.Add(Retention + time.Second))
	assert.Empty(t, table.podEvents.order)
	assert.Empty(t, table.podEvents.byPod)
	assert.Empty(t, table.podEvents.inNamespace)
}
