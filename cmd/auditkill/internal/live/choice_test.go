// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/sys/capability"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/selection"
	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

func TestSaysWhyNotByOthers(t *testing.T) {
	t.Parallel()
	config, said := fakeConfig(selection.Config{})
	first, third := play(), play()
	first.refuses = &problem.Problem{
		Err: errors.New("refused\nor so"), Lacking: []capability.Cap{capability.CAP_BPF}, Advice: []problem.Advice{problem.UseNetlink},
	}
	first.fails = errBroken
	second := capture.Custom("second", play())
	second.Check = func() error { return errors.New("it lacks a right") }
	w, err := open(t.Context(), config, []capture.Candidate{capture.Custom("first", first), second, capture.Custom("third", third)})
	require.NoError(t, err)
	assert.Equal(t, "played", w.Source())
	require.NoError(t, w.Close())
	assert.Equal(t, []string{
		"cannot use first: refused; or so: it lacks CAP_BPF; use --source multicast; broken",
		"cannot use second: it lacks a right",
	}, said.all())
	assert.Equal(t, []int{1, 1}, []int{first.closed, third.closed})
}

func TestSaysNothingOfTheFirst(t *testing.T) {
	t.Parallel()
	w, said := newFake(t, selection.Config{}, play())
	require.NoError(t, w.Close())
	assert.Empty(t, said.all())
}

func TestSaysWhyNoneWorks(t *testing.T) {
	t.Parallel()
	no := func(name, why string) capture.Candidate {
		c := capture.Custom(name, play())
		c.Check = func() error { return errors.New(why) }
		return c
	}
	config, _ := fakeConfig(selection.Config{})
	_, err := open(t.Context(), config, []capture.Candidate{no("ebpf", "it lacks CAP_BPF"), no("file", "no such file")})
	require.ErrorContains(t, err, "no source can be used:\n  ebpf  it lacks CAP_BPF\n  file  no such file\n")

	_, err = open(t.Context(), config, []capture.Candidate{no("unicast", "auditd[7] holds the audit pid")})
	require.ErrorContains(t, err, "--source unicast: auditd[7] holds the audit pid\n")
}

func TestCandidates(t *testing.T) {
	t.Parallel()
	for asked, names := range map[string][]string{
		Auto: {"ebpf", "multicast or unicast", "file"}, EBPF: {"ebpf"}, Multicast: {"multicast"}, Unicast: {"unicast"}, File: {"file"},
	} {
		config, _ := fakeConfig(selection.Config{})
		config.Source = asked
		var got []string
		for _, c := range config.candidates() {
			got = append(got, c.Name)
		}
		assert.Equal(t, names, got)
	}
}

// A log that is not there is waited for if it was asked for, as auditd may begin one; but
// it is no reason to watch where nothing else works.
func TestALogThatIsNotThere(t *testing.T) {
	t.Parallel()
	config, said := fakeConfig(selection.Config{})
	config.Path = filepath.Join(t.TempDir(), "audit.log")
	all := config.candidates()
	require.ErrorIs(t, all[len(all)-1].Check(), os.ErrNotExist)

	config.Source = File
	w, err := Open(t.Context(), config)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	assert.Contains(t, said.all()[0], "warning: the log does not exist yet, waiting for it")
}
