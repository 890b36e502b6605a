// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	godbus "github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
)

// unitsOf returns what is remembered of a systemd of a Watcher that listens to some others.
func unitsOf(others bool, watched int) *units {
	w := New(Config{})
	for pid := range watched {
		w.Watch(hostPID + 1 + pid)
	}
	return newLink(&manager{watcher: w, of: &process{pid: container}, others: others}, true).units
}

// TestUnitsOfOthers has systemds invent units and jobs.
func TestUnitsOfOthers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		others      bool
		watched     int
		units, jobs int
	}{
		"the host's": {false, 255, maxUnits, maxJobs},
		"one":        {true, 1, maxUnitsOfOther, maxJobsOfOther},
		"some":       {true, maxOfOne, maxUnitsOfOther, maxJobsOfOther},
		"very many":  {true, 255, maxUnitsOfOthers / 255, maxJobsOfOther},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := unitsOf(test.others, test.watched)
			for n := range 2 * maxUnits {
				unit := fmt.Sprintf("unit%d.service", n)
				u.remember(unit)
				u.jobs.remember(&job{Job: attribution.Job{ID: uint32(n), Unit: unit}})
			}
			assert.Len(t, u.known, test.units)
			assert.Len(t, u.jobs.known, test.jobs)
			assert.Len(t, u.jobs.current, test.jobs)
		})
	}
	u := unitsOf(true, 1)
	for n := range maxUnitsOfOther {
		u.remember(fmt.Sprintf("unit%d.service", n))
	}
	for pid := range 63 {
		u.watcher.Watch(1000 + pid)
	}
	u.remember("one.service")
	assert.Len(t, u.known, maxUnitsOfOthers/64, "the share is smaller now")
	assert.Contains(t, u.known, "one.service")
}

// TestNamesOfOthers has a container's systemd give a unit as many long names as a message has room for.
func TestNamesOfOthers(t *testing.T) {
	t.Parallel()
	h := newFakeHost(t)
	bus := h.newFakeBus(h.container(container) + "/" + hostBus)
	texts := func(of string) godbus.Variant {
		var all []string
		for n := range maxNames {
			all = append(all, fmt.Sprintf("%d.%s.%s.service", n, of, strings.Repeat("x", 50)))
		}
		return godbus.MakeVariant(all)
	}
	bus.set("GetAll", map[string]godbus.Variant{"Names": texts("a"), "Requires": texts("b"), "Conflicts": texts("c")})
	h.start()
	h.Watch(container)
	bus.awaitClient()
	bus.enters("inactive", "dead", "success")
	unit := await(h, unitFacts, func(u attribution.Unit) bool { return len(u.Names) > 0 })
	for _, names := range [][]string{unit.Names, unit.Bases, unit.Rivals} {
		assert.Len(t, names, maxNamesLengthOfOther/(textSize+len(names[0])))
	}
	bus.enters("failed", "failed", "exit-code")
	again := await(h, unitFacts, func(u attribution.Unit) bool { return u.Active == "failed" })
	assert.Empty(t, again.Names, "they are told once, and not kept")
	assert.Empty(t, again.Bases)
	assert.Empty(t, again.Rivals)
}

// TestSessionsOfOthers has a container's logind invent more logins than a host has.
func TestSessionsOfOthers(t *testing.T) {
	t.Parallel()
	s := newSessions("", new(counters))
	for n := range 2 * maxSessionsOfHost {
		for _, manager := range []int{0, container} {
			s.store(manager, strconv.Itoa(n), &known{ok: true})
		}
	}
	assert.Len(t, s.known[0], maxSessionsOfHost)
	assert.Len(t, s.known[container], maxSessions)
}
