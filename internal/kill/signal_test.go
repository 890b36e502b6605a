// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseSignal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Signal{
		"SIGKILL": 9, "KILL": 9, "kill": 9, "sigterm": 15, "9": 9, "0": 0, "64": 64,
		"SIGTERM\t": 15, "SIG0": 0, "SIG33": 33, "IOT": 6, "SIGPOLL": 29, "CLD": 17,
		"SIGRTMIN": 34, "RTMIN+0": 34, "SIGRTMIN+3": 37, "rtmin+30": 64, "SIGRTMAX": 64, "RTMAX-1": 63, "SIGRTMAX-30": 34,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			got, err := ParseSignal(text)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
}

func TestParseSignalRejects(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "SIG", "SIGFOO", "65", "-1", "+9", "9.0", "SIGRTMIN+31", "SIGRTMIN-1", "RTMAX-31", "RTMIN+", "RTMIN+-1", "SIGRTMIN+x",
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			_, err := ParseSignal(text)
			require.Error(t, err)
			require.ErrorContains(t, err, strconv.Quote(text))
			assert.ErrorContains(t, err, "64", "the allowed values are named")
		})
	}
}

// Each signal's name must lead back to it, and every name must be one that
// users know from kill -l.
func TestNames(t *testing.T) {
	t.Parallel()
	for signal := range maxSignal + 1 {
		back, err := ParseSignal(signal.Name())
		require.NoError(t, err, signal.Name())
		assert.Equal(t, signal, back)
	}
	assert.Equal(t, "SIGKILL", SIGKILL.Name())
	assert.Equal(t, "SIGRTMIN", Signal(34).Name())
	assert.Equal(t, "SIGRTMIN+3", Signal(37).Name())
	assert.Equal(t, "SIG32", Signal(32).Name())
	assert.Equal(t, "SIG99", Signal(99).Name())
	assert.Equal(t, "SIG-5", Signal(-5).Name())
}

func TestFatal(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"0": false, "HUP": true, "KILL": true, "TERM": true, "SEGV": true, "USR1": true, "PIPE": true, "RTMIN+1": true,
		"CHLD": false, "CONT": false, "STOP": false, "TSTP": false, "TTIN": false, "TTOU": false, "URG": false, "WINCH": false,
	} {
		signal, err := ParseSignal(name)
		require.NoError(t, err)
		assert.Equal(t, want, signal.Fatal(), name)
	}
	assert.False(t, Signal(99).Fatal())
	assert.False(t, Signal(-1).Fatal())
}

func TestDefaultSignals(t *testing.T) {
	t.Parallel()
	var names []string
	for _, signal := range DefaultSignals() {
		names = append(names, signal.Name()[len("SIG"):])
	}
	assert.Equal(t, []string{
		"HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "SEGV", "TERM", "STOP", "XCPU", "XFSZ", "SYS",
	}, names)
}
