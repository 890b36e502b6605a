// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// moment is something that happens in a day of a host.
type moment struct {
	at    time.Duration
	fact  *Fact
	event *kill.Event
	// by is who has asked for the event; 0 if nobody has.
	by int
}

// day is a random day: ten users stop and restart units side by side, watchdogs bite, and others look on.
type day struct {
	random    *rand.Rand
	processes known
	moments   []moment
	pid       int
	job       uint32
}

func (d *day) add(at time.Duration, f Fact) { d.moments = append(d.moments, moment{at: at, fact: &f}) }

func (d *day) sends(at time.Duration, signal kill.Signal, unit string, by int) {
	d.pid++
	d.moments = append(d.moments, moment{at: at, event: sends(at, signal, ofUnit(d.pid, "server", unit)), by: by})
}

// run starts a program by root, for one of ten users.
func (d *day) run(line string) *kill.Process {
	d.pid++
	p := process(d.pid, line, 0, 1000+d.random.Uint32N(10), "/user.slice/session-17.scope", parent(95, "sudo "+line), bash, sshd)
	d.processes[p.PID] = p
	return p
}

// soon returns a random time of some milliseconds after another one.
func (d *day) soon(at time.Duration) time.Duration {
	return at + time.Duration(d.random.Int64N(int64(3*ms))) + 1
}

// stops has somebody stop or restart a unit.
func (d *day) stops(at time.Duration, unit string) {
	kind := []string{"stop", "restart"}[d.random.IntN(2)]
	p := d.run("systemctl " + kind + " " + unit)
	d.job++
	asked := d.soon(at)
	signaled := d.soon(asked)
	// The manager reports when it has nothing else to do, which may be before or after it has sent the signal.
	reported := asked + time.Duration(d.random.Int64N(int64(10*ms)))
	ended := max(reported, signaled) + time.Duration(d.random.Int64N(int64(100*ms)))
	d.add(at, connects(at, p))
	d.sends(signaled, kill.SIGTERM, unit, p.PID)
	d.add(reported, begins(reported, d.job, kind, unit))
	d.add(ended, done(ended, d.job, unit))
}

// bites has the watchdog of a unit bite.
func (d *day) bites(at time.Duration, unit string) {
	d.sends(at, kill.SIGABRT, unit, 0)
	reported := d.soon(at)
	d.add(reported, enters(reported, unit, "deactivating", "stop-watchdog", "watchdog"))
	back := reported + 200*ms
	d.add(back, enters(back, unit, "active", "running", "success"))
}

// TestNobodyIsNamedWrongly names who was behind the signals of random days, and compares that with who was.
func TestNobodyIsNamedWrongly(t *testing.T) {
	var asked, named int
	for seed := range uint64(20) {
		d := &day{random: rand.New(rand.NewPCG(seed, 7)), processes: known{}, pid: 1000} //nolint:gosec // the same in each run
		for i := range 500 {
			at := time.Duration(d.random.Int64N(int64(20 * time.Second)))
			unit := fmt.Sprintf("unit%d.service", i)
			switch d.random.IntN(5) {
			case 0:
				d.bites(at, unit)
			case 1:
				d.add(at, connects(at, d.run("systemctl status "+unit)))
			case 2:
				d.add(at, connects(at, d.run("python3 /opt/exporter.py")))
			default:
				d.stops(at, unit)
				if d.random.IntN(4) == 0 {
					again := at + time.Duration(d.random.Int64N(int64(3*time.Second))) + 300*ms
					d.stops(again, unit)
				}
			}
		}
		a, n := d.play(t)
		asked, named = asked+a, named+n
	}
	assert.GreaterOrEqual(t, float64(named), 0.95*float64(asked), "%d of %d are named", named, asked)
}

// play explains all events of a day, each at the end of its wait, and returns how many were asked for by
// somebody, and of how many of these that one is named.
func (d *day) play(t *testing.T) (asked, named int) {
	const wait = 200 * ms
	slices.SortStableFunc(d.moments, func(a, b moment) int { return int(a.at - b.at) })
	table := New(Config{Processes: d.processes})
	for i := range places {
		table.Follow(places[i].systemd.PID, true, false)
	}
	var waiting []moment
	release := func(now time.Duration) {
		rest := waiting[:0]
		for _, m := range waiting {
			if !table.Explain(m.event) && m.at+wait > now {
				rest = append(rest, m)
				continue
			}
			if m.by != 0 {
				asked++
			}
			if r := m.event.Behind.Requester; r != nil {
				require.Equal(t, m.by, r.PID, "%v of %s by %s at %v by %d", m.event.Cause, m.event.Behind.Unit, r.Title, m.at, m.event.Sender.PID)
				named++
			}
		}
		waiting = rest
	}
	for _, m := range d.moments {
		if m.fact != nil {
			table.Learn(m.fact)
		} else {
			waiting = append(waiting, m)
		}
		release(m.at)
	}
	release(time.Hour)
	return asked, named
}
