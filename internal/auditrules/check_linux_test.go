// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func check(t *testing.T, k *fakeKernel) *Inspection {
	t.Helper()
	found, err := Check(Settings{Signals: []kill.Signal{9, 15}, Key: testKey, Kernel: k, Self: self, Proc: proc(t, "")})
	require.NoError(t, err)
	assert.Equal(t, []string{"status", "list"}, k.asked, "nothing was changed")
	return found
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const (
		everything = "-a always,exit -S all -k other"
		kills      = "-a always,exit -F arch=b64 -S kill,tkill,rt_sigqueueinfo,pidfd_send_signal -k other"
	)
	all := []string{"SIGKILL, SIGTERM by kill, tkill, rt_sigqueueinfo, pidfd_send_signal"}
	allThreads := []string{"SIGKILL, SIGTERM by tgkill, rt_tgsigqueueinfo"}
	nothing := [][]string{all, allThreads, all, allThreads}
	shadowed := "-a never,exit -F arch=b64 -S kill,tgkill -F uid=1000"
	tests := map[string]struct {
		loaded []string
		// unseen lists, by needed rule, what is not recorded; nil if everything is.
		unseen [][]string
		// shadows are the rules that suppress any of the needed ones.
		shadows, problems []string
	}{
		"nothing is loaded":  {unseen: nothing},
		"what is needed":     {loaded: ours(0)},
		"rules of collector": {loaded: ours(theirs)},
		"rules of a collector that has ended record all others": {loaded: ours(nobody)},
		"broader rules of others":                               {loaded: ours(0, 1, 9, 15)},
		"everything":                                            {loaded: []string{everything}},
		"half of it": {
			loaded: []string{kills}, unseen: [][]string{nil, allThreads, all, allThreads},
		},
		"one rule per signal": {
			loaded: slices.Concat(ours(0, 9), ours(0, 15)),
		},
		"one of the signals": {
			loaded: ours(0, 9),
			unseen: [][]string{
				{"SIGTERM by kill, tkill, rt_sigqueueinfo, pidfd_send_signal"},
				{"SIGTERM by tgkill, rt_tgsigqueueinfo"},
				{"SIGTERM by kill, tkill, rt_sigqueueinfo, pidfd_send_signal"},
				{"SIGTERM by tgkill, rt_tgsigqueueinfo"},
			},
		},
		"one of the calls": {
			loaded: append(ours(0)[1:], "-a always,exit -F arch=b64 -S kill -k other", "-a always,exit -F arch=b64 -S tkill -F a1=9 -k other"),
			unseen: [][]string{{"SIGTERM by tkill", "SIGKILL, SIGTERM by rt_sigqueueinfo, pidfd_send_signal"}, nil, nil, nil},
		},
		"rules for some":  {loaded: []string{everything + " -F uid=0"}, unseen: nothing},
		"rules for files": {loaded: []string{"-w /etc/passwd -p wa -k other"}, unseen: nothing},
		"calls that succeed": {
			loaded: []string{everything + " -F success=1"}, unseen: nothing,
		},
		"suppressed for some": {
			loaded: append([]string{shadowed}, ours(0)...), shadows: []string{shadowed}, problems: []string{"comes before those"},
		},
		"suppressed for some, but recorded before": {loaded: append(ours(0), shadowed)},
		"suppressed behind broader ones":           {loaded: []string{everything, shadowed}},
		"suppressed for all": {
			loaded:  append([]string{"-a never,exit -F arch=b64 -S tgkill"}, ours(0)...),
			unseen:  [][]string{nil, {"SIGKILL, SIGTERM by tgkill"}, nil, nil},
			shadows: []string{"-a never,exit -F arch=b64 -S tgkill"}, problems: []string{"comes before those"},
		},
		"suppressed, and nothing is loaded": {
			loaded: []string{shadowed}, unseen: nothing, shadows: []string{shadowed}, problems: []string{"comes before those"},
		},
		"other calls suppressed": {loaded: append([]string{"-a never,exit -F arch=b64 -S openat"}, ours(0)...)},
		"a collector's shield":   {loaded: append([]string{shieldFor(testKey, theirs).String()}, ours(theirs)...)},
		"the shield of one that has ended": {
			loaded:  append([]string{shieldFor(testKey, nobody).String()}, ours(0)...),
			shadows: []string{shieldFor(testKey, nobody).String()}, problems: []string{"comes before those"},
		},
		"no processes": {loaded: append(ours(0), "-a never,task"), problems: []string{"keeps the kernel from following"}},
		"no records": {
			loaded: append(ours(0), "-a always,exclude -F msgtype=OBJ_PID"), problems: []string{"suppresses records"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := check(t, newKernel(t, test.loaded...))
			require.Len(t, found.Needed, 4)
			shadows := make(map[string]bool)
			missing := 0
			for i, n := range found.Needed {
				var unseen []string
				if test.unseen != nil {
					unseen = test.unseen[i]
				}
				assert.Equal(t, unseen, n.Unseen, n.Rule)
				if unseen == nil {
					assert.NotEmpty(t, n.By, n.Rule)
				} else {
					missing++
				}
				for _, s := range n.Shadows {
					shadows[s] = true
				}
			}
			for _, want := range test.shadows {
				assert.Contains(t, shadows, listed(t, want)[0])
			}
			assert.Len(t, shadows, len(test.shadows))
			require.Len(t, found.Problems(), len(test.problems), whats(found.Problems()))
			for i, want := range test.problems {
				assert.Contains(t, found.Problems()[i].What, want)
				assert.NotEmpty(t, found.Problems()[i].Lines)
			}
			assert.Equal(t, missing, found.Missing())
			assert.Equal(t, missing == 0 && len(test.problems) == 0, found.Recorded())
		})
	}
}

func TestCheckTellsWhoRecords(t *testing.T) {
	t.Parallel()
	found := check(t, newKernel(t, append([]string{"-a always,exit -F arch=b64 -S kill -F a1=9 -k first"}, ours(0)...)...))
	assert.Equal(t, listed(t, "-a always,exit -F arch=b64 -S kill -F a1=9 -k first", ours(0)[0]), found.Needed[0].By)
	assert.Equal(t, listed(t, ours(0)[3]), found.Needed[3].By)
	assert.True(t, found.Needed[0].Loaded, "although another comes before")
	assert.False(t, check(t, newKernel(t, ours(0, 1, 9, 15)...)).Needed[0].Loaded, "but another that does more")
}

func TestCheckSwitch(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		enabled uint32
		loaded  []string
		says    string
		lines   []string
	}{
		"off":                {enabled: 0, loaded: ours(0), says: "audit is off", lines: []string{"auditctl -e 1"}},
		"locked":             {enabled: 2, loaded: ours(0)},
		"locked without one": {enabled: 2, loaded: ours(0)[1:], says: "1 of the 4", lines: ours(0)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKernel(t, test.loaded...)
			k.status.Enabled = test.enabled
			found := check(t, k)
			assert.Equal(t, test.enabled, found.Status.Enabled)
			assert.Equal(t, test.says == "", found.Recorded())
			if test.says == "" {
				return
			}
			require.Len(t, found.Problems(), 1)
			assert.Contains(t, found.Problems()[0].What, test.says)
			assert.Equal(t, test.lines, found.Problems()[0].Lines)
		})
	}
}

func TestCheckIsRefused(t *testing.T) {
	t.Parallel()
	for _, request := range []string{"status", "list"} {
		k := newKernel(t)
		k.refuse[request] = syscall.EPERM
		_, err := Check(Settings{Signals: []kill.Signal{9}, Key: testKey, Kernel: k, Proc: proc(t, "")})
		require.ErrorIs(t, err, syscall.EPERM)
	}
	_, err := Check(Settings{Key: testKey, Kernel: newKernel(t)})
	require.ErrorContains(t, err, machine(), "no signals stand for a machine without rules")
}
