// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/elastic/go-libaudit/v2"
	"github.com/elastic/go-libaudit/v2/rule"
	"github.com/elastic/go-libaudit/v2/rule/flags"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// parse returns a rule as auditctl would send it.
func parse(t *testing.T, line string) []byte {
	t.Helper()
	if strconv.IntSize == 32 {
		audittest.Skip(t, "a 32-bit go-libaudit does not know what b64 is")
	}
	parsed, err := flags.Parse(line)
	require.NoError(t, err, line)
	wire, err := rule.Build(parsed)
	require.NoError(t, err, line)
	if strings.HasPrefix(line, "-A") {
		binary.NativeEndian.PutUint32(wire, binary.NativeEndian.Uint32(wire)|unix.AUDIT_FILTER_PREPEND)
	}
	return wire
}

// fakeKernel does with rules what the kernel does, and answers like go-libaudit.
type fakeKernel struct {
	t      *testing.T
	rules  [][]byte
	status libaudit.AuditStatus
	// refuse is the answer to a request, by its name; none is success.
	refuse map[string]error
	// asked are the requests so far.
	asked []string
}

func newKernel(t *testing.T, lines ...string) *fakeKernel {
	t.Helper()
	k := &fakeKernel{t: t, status: libaudit.AuditStatus{Enabled: 1}, refuse: make(map[string]error)}
	k.load(lines...)
	return k
}

// load does what another program does with auditctl.
func (k *fakeKernel) load(lines ...string) {
	k.t.Helper()
	for _, line := range lines {
		require.NoError(k.t, k.insert(parse(k.t, line)), line)
	}
}

// unload removes the rules whose text contains a word; all rules if it is empty.
func (k *fakeKernel) unload(word string) {
	k.rules = slices.DeleteFunc(k.rules, func(wire []byte) bool { return strings.Contains(lineOf(k.t, wire), word) })
}

// lines returns what is loaded.
func (k *fakeKernel) lines() []string {
	var lines []string
	for _, wire := range k.rules {
		lines = append(lines, lineOf(k.t, wire))
	}
	return lines
}

func (k *fakeKernel) insert(wire []byte) error {
	wire = bytes.Clone(wire)
	list := binary.NativeEndian.Uint32(wire)
	binary.NativeEndian.PutUint32(wire, list&^unix.AUDIT_FILTER_PREPEND)
	if list&unix.AUDIT_FILTER_PREPEND != 0 { // the kernel does not find such a one to exist
		k.rules = slices.Insert(k.rules, 0, wire)
		return nil
	}
	if slices.ContainsFunc(k.rules, func(other []byte) bool { return bytes.Equal(wire, other) }) {
		return errors.New("rule exists")
	}
	k.rules = append(k.rules, wire)
	return nil
}

func (k *fakeKernel) ask(request string) error {
	k.asked = append(k.asked, request)
	return k.refuse[request]
}

func (k *fakeKernel) GetStatus() (*libaudit.AuditStatus, error) {
	status := k.status
	return &status, k.ask("status")
}

func (k *fakeKernel) SetEnabled(enabled bool, _ libaudit.WaitMode) error {
	if err := k.ask("enable"); err != nil {
		return err
	}
	k.status.Enabled = 0
	if enabled {
		k.status.Enabled = 1
	}
	return nil
}

func (k *fakeKernel) GetRules() ([][]byte, error) { return slices.Clone(k.rules), k.ask("list") }

func (k *fakeKernel) AddRule(wire []byte) error {
	if err := k.ask("add"); err != nil {
		return err
	}
	if k.status.Enabled == 2 {
		return fmt.Errorf("error adding audit rule: %w", syscall.EPERM)
	}
	return k.insert(wire)
}

// DeleteRule reports no error if there is no such rule, or if it must not be removed.
func (k *fakeKernel) DeleteRule(wire []byte) error {
	if err := k.ask("delete"); err != nil || k.status.Enabled == 2 {
		return err
	}
	at := slices.IndexFunc(k.rules, func(other []byte) bool { return bytes.Equal(wire, other) })
	if at >= 0 {
		k.rules = slices.Delete(k.rules, at, at+1)
	}
	return nil
}

func lineOf(t *testing.T, wire []byte) string {
	t.Helper()
	line, err := rule.ToCommandLine(wire, false)
	require.NoError(t, err)
	return line
}

// self is the process of the collector in the tests, theirs that of another collector, companion
// that of auditkill, and secret a process whose program cannot be seen.
const (
	self      = 1000
	theirs    = 2000
	nobody    = 3000
	companion = 4000
	secret    = 5000
)

// proc makes a /proc in which two collectors run and a third is a zombie.
func proc(t *testing.T, parameters string) string {
	t.Helper()
	directory := t.TempDir()
	for pid, stat := range map[int]string{
		1: "(init) S 0", self: "(otel (x) col) S 1", theirs: "(otel (x) col) R 1", theirs + 1: "(otel (x) col) Z 1",
		theirs + 2: "(bash) S 1", companion: "(auditkill) S 1", secret: "(secret) S 1",
	} {
		process := filepath.Join(directory, strconv.Itoa(pid))
		require.NoError(t, os.Mkdir(process, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(process, "stat"), fmt.Appendf(nil, "%d %s", pid, stat), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(process, "loginuid"), []byte("4294967295"), 0o600))
	}
	this, err := os.Executable()
	require.NoError(t, err)
	shell, err := exec.LookPath("sh")
	require.NoError(t, err)
	for pid, program := range map[int]string{companion: this, theirs + 2: shell, secret: "exe"} { // which is a loop
		require.NoError(t, os.Symlink(program, filepath.Join(directory, strconv.Itoa(pid), "exe")))
	}
	require.NoError(t, os.WriteFile(filepath.Join(directory, "cmdline"), []byte("quiet "+parameters+"\n"), 0o600))
	return directory
}

// clock is a clock that moves only when the test says so.
type clock struct{ now time.Time }

func newManager(t *testing.T, k *fakeKernel) (*Manager, *clock) {
	t.Helper()
	c := &clock{now: time.Unix(1e9, 0)}
	return New(Settings{
		Signals: []kill.Signal{9, 15}, Key: testKey, Logger: zaptest.NewLogger(t), Kernel: k, Self: self,
		Proc: proc(t, "audit=1"), Now: func() time.Time { return c.now },
	}), c
}

// ours returns the rules of a collector.
func ours(pid int, signals ...kill.Signal) []string {
	if len(signals) == 0 {
		signals = []kill.Signal{9, 15}
	}
	var lines []string
	for _, r := range For(signals, testKey, pid) {
		lines = append(lines, r.String())
	}
	return lines
}

// listed returns rules as the kernel lists them.
func listed(t *testing.T, lines ...string) []string {
	t.Helper()
	var texts []string
	for _, line := range lines {
		texts = append(texts, lineOf(t, parse(t, strings.Replace(line, "-A", "-a", 1))))
	}
	return texts
}

func assertLoaded(t *testing.T, k *fakeKernel, lines ...string) {
	t.Helper()
	assert.Equal(t, listed(t, lines...), k.lines())
}
