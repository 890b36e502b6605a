// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/elastic/go-libaudit/v2"
	"github.com/elastic/go-libaudit/v2/rule"
	"github.com/elastic/go-libaudit/v2/rule/flags"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// listedKernel only answers: anything else would panic.
type listedKernel struct {
	auditrules.Kernel

	enabled uint32
	rules   [][]byte
	err     error
}

func (k listedKernel) GetStatus() (*libaudit.AuditStatus, error) {
	return &libaudit.AuditStatus{Enabled: k.enabled}, k.err
}

func (k listedKernel) GetRules() ([][]byte, error) { return k.rules, k.err }

func wires(t *testing.T, lines ...string) [][]byte {
	t.Helper()
	var all [][]byte
	for _, line := range lines {
		parsed, err := flags.Parse(line)
		require.NoError(t, err, line)
		wire, err := rule.Build(parsed)
		require.NoError(t, err, line)
		all = append(all, wire)
	}
	return all
}

var killAndTerm = []kill.Signal{kill.SIGKILL, kill.SIGTERM}

func neededLines(signals ...kill.Signal) []string {
	var lines []string
	for _, r := range auditrules.For(signals, "audit_kill", 0) {
		lines = append(lines, r.String())
	}
	return lines
}

func TestCheckRules(t *testing.T) {
	t.Parallel()
	all := neededLines(killAndTerm...)
	for name, tt := range map[string]struct {
		enabled uint32
		loaded  []string
		code    int
	}{
		"recorded": {1, all, exitFound},
		"broader":  {1, []string{"-a always,exit -S all -k everything"}, exitFound},
		"nothing":  {0, nil, exitNothing},
		"partly":   {1, append(neededLines(kill.SIGKILL), all[3]), exitNothing},
		"shadowed": {1, append([]string{"-a never,exit -F arch=b64 -S kill,tgkill", "-a never,task"}, all...), exitNothing},
		"locked":   {2, all[:3], exitNothing},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := auditrules.Settings{
				Signals: killAndTerm, Key: "audit_kill", Kernel: listedKernel{enabled: tt.enabled, rules: wires(t, tt.loaded...)},
			}
			for output, extension := range map[string]string{outputTable: "txt", outputJSON: "json"} {
				var text bytes.Buffer
				err := checkWith(&text, settings, output)
				if tt.code == exitFound {
					require.NoError(t, err)
				} else {
					require.Equal(t, exitError(tt.code), err)
				}
				golden(t, fmt.Sprintf("rules_check_%s.%s", name, extension), asOnAMD64(text.String()))
			}
		})
	}
}

// loadedOnARM64 matches a rule that the kernel has listed, in which system calls are in
// the order of their numbers.
var loadedOnARM64 = regexp.MustCompile(`arch=b64 -S kill,tkill,rt_sigqueueinfo(,.* -F key=)`)

// asOnAMD64 puts them in the order of the golden files.
func asOnAMD64(text string) string {
	if runtime.GOARCH != "arm64" {
		return text
	}
	return loadedOnARM64.ReplaceAllString(text, "arch=b64 -S kill,rt_sigqueueinfo,tkill$1")
}

func TestCheckRulesIsRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  error
		says string
	}{
		"no right":      {syscall.EPERM, "sudo auditkill rules --check"},
		"no audit":      {syscall.EPROTONOSUPPORT, "CONFIG_AUDIT"},
		"off since":     {syscall.ECONNREFUSED, "audit=0"},
		"anything else": {syscall.ENOBUFS, "--check: asking for the state of audit: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var text bytes.Buffer
			err := checkWith(&text, auditrules.Settings{
				Signals: killAndTerm, Key: "audit_kill", Kernel: listedKernel{err: tt.err},
			}, outputTable)
			require.ErrorIs(t, err, tt.err)
			require.ErrorContains(t, err, tt.says)
			assert.Empty(t, text.String())
		})
	}
}

// On the real kernel the rules that are printed are what is asked for.
func TestCheckRulesOfTheKernel(t *testing.T) {
	kernel := audittest.Kernel(t)
	before, err := kernel.GetRules()
	require.NoError(t, err)
	if len(before) > 0 {
		audittest.Skip(t, "%d audit rules are loaded; remove them to run this test", len(before))
	}
	require.NoError(t, kernel.SetEnabled(true, libaudit.WaitForReply))
	t.Cleanup(func() {
		left, problem := kernel.GetRules()
		require.NoError(t, problem)
		for _, r := range left {
			assert.NoError(t, kernel.DeleteRule(r))
		}
	})
	check := func() (checked checkedRules, code int) {
		out, code, problem := execute(t, newRules(), "--check", "--output", "json", "--signal", "KILL,TERM")
		require.NoError(t, problem)
		require.NoError(t, json.Unmarshal([]byte(out), &checked))
		return checked, code
	}
	states := func(checked checkedRules) string {
		var all []string
		for _, r := range checked.Rules {
			all = append(all, r.State)
		}
		return strings.Join(all, " ")
	}

	checked, code := check()
	assert.Equal(t, exitNothing, code)
	assert.Equal(t, "missing missing missing missing", states(checked))

	lines, _, err := execute(t, newRules(), "--signal", "KILL,TERM", "--format", "rules.d")
	require.NoError(t, err)
	for _, wire := range wires(t, strings.Split(strings.TrimSpace(lines), "\n")...) {
		require.NoError(t, kernel.AddRule(wire))
	}
	checked, code = check()
	assert.Equal(t, exitFound, code)
	assert.Equal(t, "recorded recorded recorded recorded", states(checked))
	assert.Empty(t, checked.Problems)

	require.NoError(t, kernel.SetEnabled(false, libaudit.WaitForReply))
	checked, code = check()
	assert.Equal(t, exitNothing, code, "with audit off nothing is recorded")
	require.Len(t, checked.Problems, 1)
	assert.Equal(t, []string{"auditctl -e 1"}, checked.Problems[0].Lines)

	require.NoError(t, kernel.DeleteRule(wires(t, neededLines(killAndTerm...)[1])[0]))
	checked, _ = check()
	assert.Equal(t, "recorded missing recorded recorded", states(checked))
	assert.Equal(t, []string{auditrules.For(killAndTerm, "audit_kill", 0)[1].Command()}, checked.Rules[1].Mend)
}
