// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package listing

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// atOnce is a time that a person does not notice.
const atOnce = 50 * time.Millisecond

// shortTarget is the name of the target or, if there is none, the pid that the sender named.
func (e Entry) shortTarget() string {
	name := e.TargetName()
	if e.Target != nil {
		return name
	}
	return strings.TrimPrefix(strings.TrimPrefix(name, "pid "), "process ")
}

// shortSignal is the signal in four columns: "KILL", or the number of one with a long name.
func (e Entry) shortSignal() string {
	if e.exited() {
		return none
	}
	name := strings.TrimPrefix(e.Signal(), "SIG")
	if len(name) > 4 {
		name = strconv.Itoa(int(e.Event.Signal))
	}
	return name + e.times()
}

// shortResult is the result in nine columns: "gone 3.2s".
func (e Entry) shortResult() string {
	outcome := e.Event.Outcome
	switch {
	case e.unsent():
		return "gone"
	case outcome != nil && outcome.Verdict == kill.VerdictSurvived:
		return "alive " + shortTime(e.Event.Time.Sub(outcome.Began).Round(time.Second))
	case outcome != nil && outcome.Verdict == kill.VerdictUnknown:
		return unknown
	case outcome != nil:
		return "gone " + shortTime(e.Event.Time.Sub(outcome.Began))
	}
	result := e.Result()
	if result == noEffect {
		return result
	}
	first, _, _ := strings.Cut(result, " ")
	return first
}

// shortTime is a duration in four columns, or three if it is in whole seconds.
func shortTime(d time.Duration) string {
	switch seconds := d.Seconds(); {
	case seconds < 9.95 && d%time.Second != 0:
		return fmt.Sprintf("%.1fs", seconds)
	case seconds < 99.5:
		return fmt.Sprintf("%.0fs", seconds)
	case seconds < 99.5*60:
		return fmt.Sprintf("%.0fm", d.Minutes())
	}
	return fmt.Sprintf("%.0fh", d.Hours())
}
