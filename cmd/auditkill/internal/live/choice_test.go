// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/selection"
)

func TestTakesTheFirstSourceThatWorks(t *testing.T) {
	t.Parallel()
	w, said := newFake(t, selection.Config{})
	first, second, third, fourth := play(), play(), play(), play()
	first.refuses = errors.New("the collector lacks CAP_BPF\nor so; or use netlink")
	first.fails = errBroken
	require.NoError(t, w.open(t.Context(), []candidate{
		{name: "first", Source: first},
		{name: "second", Source: second, check: func() error { return errors.New("it lacks a right") }},
		{name: "third", began: func() string { return "third of all" }, Source: third, advise: func() { w.config.Say("advice") }},
		{name: "fourth", Source: fourth},
	}))
	assert.Equal(t, "third of all", w.Source())
	require.NoError(t, w.Close())
	assert.Equal(t, []string{
		"advice",
		"not by first: auditkill lacks CAP_BPF; or so; or use --source multicast; broken",
		"not by second: it lacks a right",
	}, said.all())
	for i, p := range []*played{first, second, third, fourth} {
		assert.Equal(t, p.started, p.closed, "source %d", i)
	}
	assert.Equal(t, []int{1, 0, 1, 0}, []int{first.started, second.started, third.started, fourth.started})
}

func TestSaysNothingOfTheFirst(t *testing.T) {
	t.Parallel()
	w, said := newFake(t, selection.Config{})
	require.NoError(t, w.open(t.Context(), []candidate{{name: "first", Source: play()}, {name: "second", Source: play()}}))
	require.NoError(t, w.Close())
	assert.Empty(t, said.all())
}

func TestSaysWhyNoneWorks(t *testing.T) {
	t.Parallel()
	no := func(why string) func() error { return func() error { return errors.New(why) } }
	w, _ := newFake(t, selection.Config{})
	err := w.open(t.Context(), []candidate{{name: "ebpf", check: no("it lacks CAP_BPF")}, {name: "file", check: no("no such file")}})
	require.ErrorContains(t, err, "no source can be used:\n  ebpf  it lacks CAP_BPF\n  file  no such file\n")

	w, _ = newFake(t, selection.Config{})
	err = w.open(t.Context(), []candidate{{name: "unicast", check: no("auditd[7] holds the audit pid")}})
	require.ErrorContains(t, err, "--source unicast: auditd[7] holds the audit pid\n")
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	for asked, names := range map[string][]string{
		Auto: {"ebpf", "multicast or unicast", "file"}, EBPF: {"ebpf"}, Multicast: {"multicast"}, Unicast: {"unicast"}, File: {"file"},
	} {
		w, _ := newFake(t, selection.Config{})
		w.config.Source = asked
		var got []string
		for _, c := range w.candidates() {
			got = append(got, c.name)
		}
		assert.Equal(t, names, got)
		require.NoError(t, w.Close())
	}
}

// A log that is not there is waited for if it was asked for, as auditd may begin one; but
// it is no reason to watch where nothing else works.
func TestALogThatIsNotThere(t *testing.T) {
	t.Parallel()
	w, said := newFake(t, selection.Config{})
	w.config.Path = filepath.Join(t.TempDir(), "audit.log")
	all := w.candidates()
	require.ErrorIs(t, all[len(all)-1].check(), os.ErrNotExist)

	w.config.Source = File
	require.NoError(t, w.open(t.Context(), w.candidates()))
	require.NoError(t, w.Close())
	assert.Contains(t, said.all()[0], "warning: the log does not exist yet, waiting for it")
}
