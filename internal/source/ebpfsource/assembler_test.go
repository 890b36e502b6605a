// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// bench is an assembler whose events are kept.
type bench struct {
	*assembler
	fake   *fakeProcesses
	events []source.Observation
}

func newBench(change func(*assemblerConfig)) *bench {
	config := assemblerConfig{timeout: 2 * time.Second, maxPending: 100, seesEnds: true}
	if change != nil {
		change(&config)
	}
	b := &bench{}
	events, fake := newFakeEvents()
	b.fake = fake
	b.assembler = newAssembler(config, events, func(o source.Observation) { b.events = append(b.events, o) })
	return b
}

// take returns what was emitted since the last call, each in short form.
func (b *bench) take() []string {
	var all []string
	for _, o := range b.events {
		if o.End != nil {
			all = append(all, fmt.Sprintf("%d %s", o.End.PID, o.End.Exit.Verdict()))
			continue
		}
		all = append(all, short(o.Event))
	}
	b.events = nil
	return all
}

// short says who signaled whom in an event, and what is special about it.
func short(e *kill.Event) string {
	s := fmt.Sprintf("%d>%v", e.Sender.ThreadID, tell(e).Targets)
	if e.TargetCount != len(e.Targets) {
		s += fmt.Sprintf(" of %d", e.TargetCount)
	}
	if e.Result.Failed() {
		s += " " + e.Result.Error
	}
	if e.Cause != kill.CauseNone {
		s += " " + string(e.Cause)
	}
	if !e.Complete {
		s += " incomplete"
	}
	return s
}

// toGroup is kill(pid, SIGTERM) with a pid that is not that of a process.
func toGroup(pid int32) kernelCall {
	return kernelCall{Number: callKill, Pid: pid, Signal: int32(kill.SIGTERM)}
}

// strikes is a signal of a call to a group.
func strikes(thread uint32, call kernelCall, target uint32) []byte {
	return bytesOf(sends(func(r *kernelSignalRecord) {
		r.Sender.Thread, r.Call, r.Target = thread, call, party(target, "member")
	}))
}

// ends is the end of a call.
func ends(thread uint32, call kernelCall, result int32) []byte {
	return bytesOf(fails(result, func(r *kernelSignalRecord) {
		r.Sender.Thread, r.Call, r.Signal = thread, call, call.Signal
	}))
}

func TestGroups(t *testing.T) {
	t.Parallel()
	a, all := toGroup(-20), toGroup(-1)
	tests := map[string]struct {
		records [][]byte
		// seen is what they become at once if ends are reported, unseen if they are not; later is
		// what is still waiting then, for longer than any timeout.
		seen, unseen, later []string
		pending             int
	}{
		"one call": {
			records: [][]byte{strikes(10, a, 22), strikes(10, a, 20), strikes(10, a, 21), ends(10, a, 0)},
			seen:    []string{"10>[20 21 22]"},
		},
		"the end was lost": {
			records: [][]byte{strikes(10, a, 20), strikes(10, a, 21), strikes(10, all, 20), strikes(10, all, 30)},
			seen:    []string{"10>[20 21] incomplete"}, unseen: []string{"10>[20 21]"},
			later: []string{"10>[20 30]"}, pending: 1,
		},
		"the same call again": {
			records: [][]byte{strikes(10, a, 20), strikes(10, a, 21), ends(10, a, 0), strikes(10, a, 20), strikes(10, a, 21), ends(10, a, 0)},
			seen:    []string{"10>[20 21]", "10>[20 21]"},
		},
		"the same call again, ends lost": {
			records: [][]byte{strikes(10, a, 20), strikes(10, a, 21), strikes(10, a, 20), strikes(10, a, 21)},
			seen:    []string{"10>[20 21] incomplete"}, unseen: []string{"10>[20 21]"},
			later: []string{"10>[20 21]"}, pending: 1,
		},
		"two threads at once": {
			records: [][]byte{
				strikes(10, a, 20), strikes(11, a, 20), strikes(11, a, 21), strikes(10, a, 21), ends(11, a, 0),
				strikes(10, a, 22), ends(10, a, 0),
			},
			seen: []string{"11>[20 21]", "10>[20 21 22]"},
		},
		"a plain signal of another process meanwhile": {
			records: [][]byte{strikes(10, a, 20), strikes(11, kernelCall{Number: callKill, Pid: 40, Signal: 15}, 40), strikes(10, a, 21), ends(10, a, 0)},
			seen:    []string{"11>[40]", "10>[20 21]"},
		},
		"a process group by pidfd": {
			records: [][]byte{
				strikes(10, kernelCall{Number: callPidfd, Flags: pidfdGroup, Pid: 3, Signal: 15}, 20),
				strikes(10, kernelCall{Number: callPidfd, Flags: pidfdGroup, Pid: 3, Signal: 15}, 21),
				ends(10, kernelCall{Number: callPidfd, Flags: pidfdGroup, Pid: 3, Signal: 15}, 0),
			},
			seen: []string{"10>[20 21]"},
		},
		"an empty group":       {records: [][]byte{ends(10, a, esrch)}, seen: []string{"10>[] ESRCH"}},
		"a group that forbids": {records: [][]byte{ends(10, a, eperm)}, seen: []string{"10>[] of -1 EPERM"}},
		"a group is asked":     {records: [][]byte{ends(10, kernelCall{Number: callKill, Pid: -20}, 0)}, seen: []string{"10>[] of -1"}},
		"whom it struck was lost": {
			records: [][]byte{ends(10, a, 0)}, seen: []string{"10>[] of -1 incomplete"},
		},
		"a failure while a group waits for its end, which was lost": {
			records: [][]byte{strikes(10, a, 20), ends(10, toGroup(-99), esrch)},
			seen:    []string{"10>[] ESRCH"}, later: []string{"10>[20] incomplete"}, pending: 1,
		},
	}
	for name, tt := range tests {
		for _, sees := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, ends seen %t", name, sees), func(t *testing.T) {
				t.Parallel()
				want, later := tt.seen, tt.later
				if !sees {
					if tt.unseen == nil {
						t.Skip("there is no end in this without one that is seen")
					}
					want = tt.unseen
				}
				b := newBench(func(c *assemblerConfig) { c.seesEnds = sees })
				b.lastLoss = 1
				for _, raw := range tt.records {
					b.add(raw)
				}
				assert.Equal(t, want, b.take())
				assert.Equal(t, tt.pending, b.pending())
				assert.Zero(t, b.expire(time.Minute))
				if sees && len(later) > 0 && tt.unseen != nil {
					later = []string{later[0] + " incomplete"}
				}
				assert.Equal(t, later, b.take())
				assert.Zero(t, b.pending())
			})
		}
	}
}

// Targets that the kernel leaves out because of the filter are not lost.
func TestGroupOfOthers(t *testing.T) {
	t.Parallel()
	b := newBench(func(c *assemblerConfig) { c.partial = true })
	b.add(ends(10, toGroup(-20), 0))
	assert.Empty(t, b.take())
	b.add(ends(10, toGroup(-20), eperm))
	assert.Equal(t, []string{"10>[] of -1 EPERM"}, b.take())
}

func TestDeliveriesOfAGroup(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		results []int32
		want    kill.Delivery
	}{
		"all alike":      {[]int32{1, 1, 1}, kill.DeliveryIgnored},
		"one other":      {[]int32{0, 1, 0}, kill.DeliveryUnknown},
		"the last other": {[]int32{0, 0, 2}, kill.DeliveryUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(nil)
			for i, result := range tt.results {
				b.add(bytesOf(sends(func(r *kernelSignalRecord) {
					r.Call, r.Target, r.Result = toGroup(0), party(20+uint32(i), ""), result
				})))
			}
			b.add(ends(10, toGroup(0), 0))
			require.Len(t, b.events, 1)
			assert.Equal(t, tt.want, b.events[0].Event.Delivery)
			for i, result := range tt.results {
				assert.Equal(t, deliveryOf(kill.SIGTERM, result), b.events[0].Event.DeliveryTo(&b.events[0].Event.Targets[i]))
			}
		})
	}
}

// The timeout starts again with each target.
func TestPatience(t *testing.T) {
	t.Parallel()
	at := func(when time.Duration, target uint32) []byte {
		return bytesOf(sends(func(r *kernelSignalRecord) {
			r.Time, r.Call, r.Target = uint64(when), toGroup(-1), party(target, "")
		}))
	}
	for name, tt := range map[string]struct {
		seesEnds bool
		patience time.Duration
		want     string
	}{
		"ends seen":   {true, 2 * time.Second, "10>[20 21] incomplete"},
		"ends unseen": {false, quiet, "10>[20 21]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(func(c *assemblerConfig) { c.seesEnds = tt.seesEnds })
			assert.Zero(t, b.expire(0), "nothing waits")
			b.add(at(time.Second, 20))
			assert.Equal(t, tt.patience, b.expire(time.Second))
			assert.Equal(t, time.Millisecond, b.expire(time.Second+tt.patience-1), "no sleep is shorter")
			b.add(at(time.Second+tt.patience-1, 21))
			assert.Equal(t, tt.patience-1, b.expire(time.Second+tt.patience))
			assert.Empty(t, b.take())
			assert.Zero(t, b.expire(time.Second+2*tt.patience-1))
			assert.Equal(t, []string{tt.want}, b.take())
		})
	}
}

func TestEviction(t *testing.T) {
	t.Parallel()
	b := newBench(func(c *assemblerConfig) { c.maxPending = 2 })
	for thread := uint32(10); thread < 13; thread++ {
		b.add(bytesOf(sends(func(r *kernelSignalRecord) {
			r.Time, r.Sender.Thread, r.Call = uint64(thread), thread, toGroup(-1)
		})))
	}
	assert.Equal(t, []string{"10>[20] incomplete"}, b.take(), "who has waited longest")
	assert.Equal(t, 2, b.pending())
	assert.Equal(t, counts{records: 3, incomplete: 1, evicted: 1}, b.counts)
}

// A signal that the ring had no room for was lost after what was in it then, and before what came
// once it was empty again.
func TestLost(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	lost := uint64(0)
	b.lostSoFar = func() uint64 { return lost }
	b.add(strikes(10, toGroup(-1), 20))
	lost = 5
	b.add(strikes(11, toGroup(-1), 20))
	b.add(ends(11, toGroup(-1), 0))
	b.lostBefore = 5 // the ring was empty
	b.add(strikes(12, toGroup(-1), 20))
	b.add(ends(12, toGroup(-1), 0))
	b.add(ends(10, toGroup(-1), 0))
	assert.Equal(t, []string{"11>[20] incomplete", "12>[20]", "10>[20] incomplete"}, b.take())
}

// The process table receives reports in the order in which things happened.
func TestLife(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.add(bytesOf(&kernelForkRecord{Kind: kindFork, Uid: 1001, Session: 7, Parent: party(10, "").Identity, Child: party(30, "").Identity}))
	b.add(makes(5, "/a.service\x00"))
	b.add(execs(30, "sleep\x00bin\x00", "sleep\x001000\x00"))
	b.add(bytesOf(&kernelExitRecord{Kind: kindExit, Identity: party(30, "").Identity}))
	assert.Equal(t, []string{
		"fork {10 100ms} {30 300ms}",
		"cgroup {4 5} /a.service",
		"exec {Key:{PID:30 Start:300ms} Parent:1 Command:sleep Executable:/bin/sleep CommandLine:sleep\x001000 Cgroup:{Hierarchy:0 ID:77} Namespaces:{Mount:6 Root:5 UserLevel:1} Session:{Number:8 User:1002}}",
		"exit {30 300ms}",
	}, b.fake.told)
	assert.Equal(t, []string{"{10 100ms} {Number:7 User:1001}"}, b.fake.sessions)
	assert.Empty(t, b.take())
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	for _, raw := range [][]byte{
		nil,
		{0},
		{kindHandled + 1, 0, 0, 0, 0, 0, 0, 0},
		bytesOf(kills())[:100], execs(1, "a\x00", "a")[:50],
		makes(1, "/a")[:25],
		{kindFork, 0},
		{kindExit, 0},
		{kindVictim, 0},
	} {
		b.add(raw)
	}
	assert.Equal(t, counts{records: 9, malformed: 9}, b.counts)
	assert.Empty(t, b.events)
	assert.Empty(t, b.fake.told)
}
