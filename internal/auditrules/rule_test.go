// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const testKey = "audit_kill"

var x86 = arches("x86_64")

// signalsFrom returns all signals from the given one on.
func signalsFrom(first kill.Signal) []kill.Signal {
	var signals []kill.Signal
	for s := first; s <= 64; s++ {
		signals = append(signals, s)
	}
	return signals
}

func TestComparisons(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		signals []kill.Signal
		want    string
	}{
		"one":             {[]kill.Signal{9}, "a1=9"},
		"one twice":       {[]kill.Signal{9, 9}, "a1=9"},
		"only 0":          {[]kill.Signal{0}, "a1=0"},
		"the last":        {[]kill.Signal{64}, "a1=64"},
		"neighbors":       {[]kill.Signal{9, 10}, "a1>=9 a1<=10"},
		"a hole":          {[]kill.Signal{9, 11}, "a1>=9 a1<=11 a1!=10"},
		"any order":       {[]kill.Signal{15, 1, 2, 2, 9}, "a1>=1 a1<=15 a1!=3 a1!=4 a1!=5 a1!=6 a1!=7 a1!=8 a1!=10 a1!=11 a1!=12 a1!=13 a1!=14"},
		"0 and others":    {[]kill.Signal{0, 1, 3}, "a1<=3 a1!=2"},
		"all but 0":       {signalsFrom(1), "a1>=1 a1<=64"},
		"all":             {signalsFrom(0), "a1<=64"},
		"realtime":        {[]kill.Signal{34, 35, 37}, "a1>=34 a1<=37 a1!=36"},
		"the C library's": {[]kill.Signal{32, 33}, "a1>=32 a1<=33"},
		"default": {
			kill.DefaultSignals(),
			"a1>=1 a1<=31 a1!=10 a1!=12 a1!=13 a1!=14 a1!=16 a1!=17 a1!=18 a1!=20 a1!=21 a1!=22 a1!=23 " +
				"a1!=26 a1!=27 a1!=28 a1!=29 a1!=30",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var said []string
			for _, c := range oneOf("a1", test.signals) {
				said = append(said, c.String())
			}
			assert.Equal(t, test.want, strings.Join(said, " "))
		})
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	const (
		a1 = " -S kill,tkill,rt_sigqueueinfo,pidfd_send_signal"
		a2 = " -S tgkill,rt_tgsigqueueinfo"
	)
	tests := map[string]struct {
		machine string
		signals []kill.Signal
		key     string
		self    int
		want    []string
	}{
		"64 and 32 bit": {
			"x86_64",
			[]kill.Signal{9},
			"k",
			0,
			[]string{
				"-a always,exit -F arch=b64" + a1 + " -F a1=9 -k k",
				"-a always,exit -F arch=b64" + a2 + " -F a2=9 -k k",
				"-a always,exit -F arch=b32" + a1 + " -F a1=9 -k k",
				"-a always,exit -F arch=b32" + a2 + " -F a2=9 -k k",
			},
		},
		"without a process": {
			"i686",
			[]kill.Signal{1, 2},
			"k",
			4711,
			[]string{
				"-a always,exit -F arch=b32" + a1 + " -F pid!=4711 -F a1>=1 -F a1<=2 -k k",
				"-a always,exit -F arch=b32" + a2 + " -F pid!=4711 -F a2>=1 -F a2<=2 -k k",
			},
		},
		"only 64 bit": {
			"riscv64",
			[]kill.Signal{0},
			"#$;*=k",
			0,
			[]string{
				"-a always,exit -F arch=b64" + a1 + " -F a1=0 -k #$;*=k",
				"-a always,exit -F arch=b64" + a2 + " -F a2=0 -k #$;*=k",
			},
		},
		"signals with other numbers": {"mips64", []kill.Signal{9}, "k", 0, nil},
		"no signals":                 {"x86_64", nil, "k", 0, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lines []string
			for _, r := range rulesFor(arches(test.machine), test.signals, test.key, test.self) {
				lines = append(lines, r.String())
			}
			assert.Equal(t, test.want, lines)
		})
	}
}

func TestArches(t *testing.T) {
	t.Parallel()
	for machine, want := range map[string][]arch{
		"x86_64": {{"b64", "x86_64"}, {"b32", "i386"}}, "i386": {{"b32", "i386"}}, "i686": {{"b32", "i386"}},
		"aarch64": {{"b64", "aarch64"}, {"b32", "arm"}}, "armv7l": {{"b32", "arm"}}, "armv8l": {{"b32", "arm"}},
		"s390x": {{"b64", "s390x"}, {"b32", "s390"}}, "ppc64": {{"b64", "ppc64"}, {"b32", "ppc"}},
		"ppc64le": {{"b64", "ppc64le"}}, "loongarch64": {{"b64", "loongarch64"}}, "mips": nil, "sparc64": nil, "": nil,
	} {
		assert.Equal(t, want, arches(machine), machine)
	}
}

// The last gaps are not excluded if a rule has no room for all of them.
func TestSparseSignals(t *testing.T) {
	t.Parallel()
	for _, lowest := range []kill.Signal{0, 1} {
		for _, argument := range []string{"a1", "a2"} {
			comparisons := oneOf(argument, []kill.Signal{lowest, 64})
			assert.Len(t, comparisons, maxComparisons)
			let := admitted(comparisons, argument)
			assert.LessOrEqual(t, len(let), 5, "%v", let)
			assert.Subset(t, let, []uint32{uint32(lowest), 64})
			assert.NotContains(t, let, uint32(23))
		}
	}
}

// admitted returns the values of an argument for which all comparisons hold.
func admitted(comparisons []comparison, argument string) []uint32 {
	var values []uint32
	for value := range uint32(300) {
		if !slices.ContainsFunc(comparisons, func(c comparison) bool {
			return c.field == argument && !holds(value, c.operator, uint32(c.value))
		}) {
			values = append(values, value)
		}
	}
	return values
}

// holds is implemented a second time, so that the tests do not rely on what they test.
func holds(left uint32, operator string, right uint32) bool {
	return map[string]bool{
		"=": left == right, "!=": left != right, "<=": left <= right, ">=": left >= right,
	}[operator]
}

// FuzzRules checks for each signal that the kernel records it if and only if it is wanted. The bits
// of the number are the signals.
func FuzzRules(f *testing.F) {
	f.Add(uint64(1), false)
	f.Add(uint64(1)<<9, true)
	f.Add(^uint64(0), true)
	f.Add(uint64(0x8000_8a02), false)
	f.Add(uint64(1)<<63|1, true)
	f.Fuzz(func(t *testing.T, bits uint64, last bool) {
		var signals []kill.Signal
		for s := range kill.Signal(64) {
			if bits&(1<<s) != 0 {
				signals = append(signals, s)
			}
		}
		if last {
			signals = append(signals, 64)
		}
		rules := rulesFor(x86, signals, testKey, 1)
		if len(signals) == 0 {
			assert.Empty(t, rules)
			return
		}
		want := make([]uint32, 0, len(signals))
		for _, s := range signals {
			want = append(want, uint32(s))
		}
		covered := make(map[string]bool)
		for _, r := range rules {
			require.LessOrEqual(t, len(r.comparisons), 64-2)
			for _, syscall := range r.syscalls {
				covered[r.arch.bits+" "+syscall] = true
			}
			let := admitted(r.comparisons, r.argument)
			if len(r.comparisons) == 1+maxComparisons { // no room for more
				assert.Subset(t, let, want)
				continue
			}
			assert.Equal(t, want, let)
		}
		assert.Len(t, covered, 12, "six system calls of two kinds of callers")
	})
}

func TestCommand(t *testing.T) {
	t.Parallel()
	rule := rulesFor(x86, []kill.Signal{1, 3}, "a'b;c", 5)[3]
	assert.Equal(t, "auditctl -a always,exit -F arch=b32 -S tgkill,rt_tgsigqueueinfo -F pid!=5 -F 'a2>=1' -F 'a2<=3' "+
		`-F a2!=2 -k 'a'\''b;c'`, rule.Command())
	assert.Equal(t, "auditctl -A never,exit -F pid=5 -k 'wow!'", shieldFor("wow!", 5).Command())
	assert.Equal(t, "auditctl -A never,exit -F pid=5 -k a-b_c.1", shieldFor("a-b_c.1", 5).Command())
}

// TestRequesters finds programs wherever they are, once, and not what is many programs in one.
func TestRequesters(t *testing.T) {
	t.Parallel()
	root := hostWith(t, "usr/bin/systemctl", "usr/bin/pgrep", "usr/bin/busybox", "usr/sbin/service", "usr/local/bin/docker", "opt/a b/podman")
	link := func(to, from string) { require.NoError(t, os.Symlink(to, filepath.Join(root, from))) }
	link("usr/bin", "bin")
	link("../bin/systemctl", "usr/sbin/reboot")
	link("pgrep", "usr/bin/pkill")
	link("busybox", "usr/bin/kill")
	link("nowhere", "usr/bin/ctr")
	link("../../opt/a b/podman", "usr/bin/podman")
	require.NoError(t, os.Mkdir(filepath.Join(root, "usr/bin/halt"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "usr/bin/crictl"), nil, 0o600))
	var want strings.Builder
	for _, path := range []string{"/usr/bin/systemctl", "/usr/sbin/service", "/usr/bin/pgrep", "/usr/local/bin/docker"} {
		for _, arch := range []string{"b64", "b32"} {
			want.WriteString("-a always,exit -F arch=" + arch + " -S execve,execveat -F path=" + path + " -F perm=x -k audit_kill\n")
		}
	}
	assert.Equal(t, want.String(), File(requestersFor(x86, root, testKey)))
	assert.Empty(t, requestersFor(x86, filepath.Join(root, "opt"), testKey))
	assert.Equal(t, "auditctl -a always,exit -F arch=b64 -S execve,execveat -F path=/usr/bin/systemctl -F perm=x -k audit_kill",
		requestersFor(x86, root, testKey)[0].Command())
}

// hostWith makes the files of a host.
func hostWith(t *testing.T, programs ...string) string {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	for _, path := range append(programs, "usr/sbin/x", "usr/local/bin/x") {
		path = filepath.Join(root, path)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, nil, 0o755))
	}
	return root
}

// The shipped rules are those that a Manager loads, so that a host that has them gets no second set.
func TestShippedRules(t *testing.T) {
	t.Parallel()
	shipped, err := os.ReadFile("../../deploy/audit_kill.rules")
	require.NoError(t, err)
	text := strings.ReplaceAll(string(shipped), "\r\n", "\n")
	begin := strings.Index(text, "\n-a ") + 1
	for line := range strings.Lines(text[:begin]) {
		assert.True(t, strings.HasPrefix(line, "#"), line)
	}
	assert.Equal(t, File(rulesFor(x86, kill.DefaultSignals(), testKey, 0)), text[begin:])

	// Commented out are those for what most hosts have.
	option := text[strings.Index(text, "\n#-a ")+1 : begin]
	root := hostWith(t, "usr/bin/systemctl", "usr/sbin/service", "usr/bin/loginctl", "usr/bin/busctl", "usr/bin/kill", "usr/bin/pkill",
		"usr/bin/killall", "usr/bin/docker", "usr/bin/podman", "usr/bin/ctr", "usr/bin/crictl", "usr/bin/supervisorctl")
	assert.Equal(t, File(requestersFor(x86, root, testKey)), strings.ReplaceAll(strings.TrimSuffix(option, "#\n"), "#-a", "-a"))
}
