// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/rendering"
)

// TestReportOfCases reads the logs in testdata/cases, in the shapes that people have them in, as the receiver does.
func TestReportOfCases(t *testing.T) {
	t.Parallel()
	logs, err := filepath.Glob(recording(filepath.Join("cases", "*.log")))
	require.NoError(t, err)
	require.NotEmpty(t, logs)
	for _, path := range logs {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".log"), func(t *testing.T) {
			t.Parallel()
			out, errs, code := runReport(t, nil, path, "-o", "json")
			expected, err := os.ReadFile(strings.TrimSuffix(path, ".log") + ".expect")
			require.NoError(t, err)
			var want, got []string
			for line := range bytes.Lines(expected) {
				var e map[string]any
				require.NoError(t, json.Unmarshal(line, &e))
				want = append(want, fmt.Sprint(e["signal"], e["sender_pid"], e["target_pid"]))
			}
			for line := range strings.Lines(out) {
				var e map[string]any
				require.NoError(t, json.Unmarshal([]byte(line), &e))
				got = append(got, fmt.Sprint(e["kill.signal.number"], e["process.pid"], e["kill.target.pid"]))
			}
			assert.ElementsMatch(t, want, got, errs)
			assert.NotEqual(t, exitFailure, code, errs)
		})
	}
}

// What looks like another program's output is said once, with what helps.
func TestReportOfOtherShapes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ log, want string }{
		"csv": {
			"NODE,EVENT,DATE,TIME,SERIAL_NUM\n" + strings.Repeat(",SYSCALL,11/14/2023,22:13:20,45,audit-rule\n", 35),
			"auditkill: standard input:1: not an audit record: it looks like the output of ausearch --format csv: `ausearch --raw` prints what can be read\n" +
				"auditkill: standard input: none of its 36 lines is an audit record, or one of a kernel log\n",
		},
		"laurel": {
			`{"ID":"1700000000.123:45","SYSCALL":{"arch":"0xc000003e"}}` + "\n",
			"auditkill: standard input:1: not an audit record: it looks like JSON of laurel: auditd's own log has what can be read, if write_logs is yes in " +
				"auditd.conf; `ausearch --raw` prints what can be read\n" +
				"auditkill: standard input: none of its 1 lines is an audit record, or one of a kernel log\n",
		},
		"behind a tag": {
			strings.Repeat("2026-11-14T22:13:20Z db1 tag_audit_log: type=SYSCALL msg=audit(1700000000.100:11): arch=c000003e syscall=62 success=yes exit=0 a0=7d0 a1=9\n", 2),
			"auditkill: standard input: not believed: 2 lines that look like audit records behind another program's tag, as any user can write them: where they are " +
				"those of rsyslog's imfile, `" + rendering.Untagged + "` reads the records of its tag\n" +
				"auditkill: standard input: no signal from 2026-11-14 22:13:20 to 2026-11-14 22:13:20\n",
		},
		"RFC 5424": {
			"<85>1 2026-11-14T22:13:20.123456+00:00 db1 audispd 701 - - type=SYSCALL msg=audit(1700000000.100:11): arch=c000003e syscall=62\n",
			"auditkill: standard input:1: not an audit record: it looks like syslog of RFC 5424: `" + rendering.Unstructured + "` reads the records of auditd's plugin\n" +
				"auditkill: standard input: none of its 1 lines is an audit record, or one of a kernel log\n",
		},
		"an unknown processor": {
			"type=SYSCALL msg=audit(1700000000.100:11): arch=4 syscall=37 success=yes exit=0 a0=7d0 a1=9\n",
			"auditkill: standard input:1: a system call on an architecture whose calls are not known: if it sent a signal, that is missing\n" +
				"auditkill: standard input: no signal from 2023-11-14 22:13:20 to 2023-11-14 22:13:20, perhaps because no audit rule recorded signals; " +
				"`auditkill rules --check` shows whether one does now, and `auditkill rules` prints the rules\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, errs, _ := runReport(t, strings.NewReader(tt.log), "-")
			assert.Equal(t, tt.want, errs)
		})
	}
}

// The commands that are told for records of syslog make records of what they are told for, and of nothing that others have written.
func TestReportOfUntaggedRecords(t *testing.T) {
	t.Parallel()
	seed, err := os.ReadFile(recording("seed.log"))
	require.NoError(t, err)
	for name, tt := range map[string]struct{ head, forged, command string }{
		"the tag of imfile":        {"Nov 14 22:13:20 db1 tag_audit_log: ", "Nov 14 22:13:20 db1 logger: tag_audit_log: ", rendering.Untagged},
		"with a priority and zone": {"<85>2026-11-14T22:13:20.1+00:00 db1 tag_audit_log: ", "<85>2026-11-14T22:13:20Z db1 a: x tag_audit_log: ", rendering.Untagged},
		"RFC 5424": {
			"<85>1 2026-11-14T22:13:20Z db1 audispd 701 - - ", "<85>1 2026-11-14T22:13:20Z db1 logger - - - <85>1 a b audispd - - - ", rendering.Unstructured,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log, forged bytes.Buffer
			for line := range bytes.Lines(seed) {
				_, _ = log.WriteString(tt.head + string(line))
				_, _ = forged.WriteString(tt.forged + string(line))
			}
			untagged := func(from []byte) []byte {
				path := filepath.Join(t.TempDir(), "syslog")
				require.NoError(t, os.WriteFile(path, from, 0o600))
				command, _, _ := strings.Cut(tt.command, " | ")
				out, err := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(command, "FILE", path, 1)).Output() //nolint:gosec // is what people are told to type
				require.NoError(t, err)
				return out
			}
			assert.Equal(t, string(seed), string(untagged(log.Bytes())))
			assert.Empty(t, string(untagged(forged.Bytes())))
		})
	}
}

// A kernel log has both what the kernel killed and audit records, in the order of time.
func TestReportOfMixedKernelLog(t *testing.T) {
	t.Parallel()
	kills, err := os.ReadFile(recording("oom.journal"))
	require.NoError(t, err)
	records, err := os.ReadFile(recording("cases/journal_json.log"))
	require.NoError(t, err)
	forgeable, err := os.ReadFile(recording("cases/journald_audit.log"))
	require.NoError(t, err)
	out, errs, code := runReport(t, bytes.NewReader(append(kills, records...)), "-", "--output", "csv")
	assert.Equal(t, exitFound, code)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 3)
	assert.Contains(t, lines[1], "SIGKILL,4192,mysqld,701,bash")
	assert.Contains(t, lines[2], "mariadbd")
	assert.NotContains(t, errs, "any user may have had a line written", "JSON says who wrote a line")
	_, errs, _ = runReport(t, bytes.NewReader(append(kills, forgeable...)), "-")
	assert.Contains(t, errs, "any user may have had a line written")
	assert.Contains(t, errs, "its times have no year")
}

func TestVersionCommand(t *testing.T) {
	t.Parallel()
	out, errs, code := answer(t, "version")
	assert.Equal(t, exitFound, code)
	assert.Empty(t, errs)
	assert.Regexp(t, `^auditkill devel \(go[0-9.]+.*, \w+/\w+\)\n$`, out)
}

// A mistyped command is answered with what a terminal shows as it is meant.
func TestMistypedCommand(t *testing.T) {
	t.Parallel()
	_, errs, code := answer(t, "rport")
	assert.Equal(t, exitFailure, code)
	assert.Contains(t, errs, "Did you mean this?\n  report\n")
	assert.NotContains(t, errs, `\t`)
}

func TestPlotOnStandardOutput(t *testing.T) {
	t.Parallel()
	out, errs, code := runReport(t, nil, recording("seed.log"), "--plot", "-")
	assert.Equal(t, exitFound, code, errs)
	assert.True(t, strings.HasPrefix(out, "<?xml"), "%.40s", out)
	assert.Contains(t, out, "mysqld", "the target")
	_, errs, code = runReport(t, nil, recording("seed.log"), "--plot", "-", "--by", "target")
	assert.Equal(t, exitFailure, code)
	assert.Contains(t, errs, "--plot: - prints the drawing where --by prints its table")
}

func TestHTML(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kills.html")
	out, errs, code := runReport(t, nil, recording("seed.log"), "--html", path)
	assert.Equal(t, exitFound, code, errs)
	assert.Empty(t, out)
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Contains(t, string(text), "mykill[3997]")
	_, errs, code = runReport(t, nil, recording("seed.log"), "--html", path, "--target", "nginx")
	assert.Equal(t, exitNothing, code)
	assert.Contains(t, errs, "nothing to show: "+path+" is unchanged")
	_, errs, code = runReport(t, nil, recording("seed.log"), "--html", "kills.txt")
	assert.Equal(t, exitFailure, code)
	assert.Contains(t, errs, "--html: cannot write kills.txt: the name of a page ends in .html")
}

func TestReportByPID(t *testing.T) {
	t.Parallel()
	for _, arguments := range [][]string{
		{"--pid", "3936"}, {"-p", "3936"}, {"--target", "3936"}, {"--target", "mysqld[3936]"}, {"--exclude-target", "nginx"}, {"--sender", "mykill[3997]"},
	} {
		_, errs, code := runReport(t, nil, append(arguments, recording("seed.log"))...)
		assert.Equal(t, exitFound, code, "%v: %s", arguments, errs)
	}
	for _, arguments := range [][]string{
		{"--pid", "1"}, {"--target", "sleep[3936]"}, {"--exclude-target", "mysqld"}, {"--exclude-target", "3936"}, {"--exclude-sender", "my*"},
	} {
		_, _, code := runReport(t, nil, append(arguments, recording("seed.log"))...)
		assert.Equal(t, exitNothing, code, "%v", arguments)
	}
	for pid, says := range map[string]string{
		"-1": `"-1" is no pid`, "0": `"0" is no pid`, "mysqld": `"mysqld" is no pid; use --target for names`, "3936,x": `"x" is no pid; use --target for names`,
	} {
		_, errs, code := runReport(t, nil, "--pid", pid, recording("seed.log"))
		assert.Equal(t, exitFailure, code)
		assert.Equal(t, "auditkill: --pid: "+says+"\n", errs)
	}
}

// What is not there is answered with what is like it.
func TestReportSuggests(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		arguments []string
		says      string
	}{
		"a target":               {[]string{"--target", "mysql"}, "did you mean --target mysqld?\n"},
		"a sender":               {[]string{"--sender", "mykil"}, "did you mean --sender mykill?\n"},
		"a user":                 {[]string{"--user", "alise", "--passwd", "testdata/passwd"}, "did you mean --user alice?\n"},
		"a sender and a target":  {[]string{"--sender", "mykil", "--target", "mysql"}, "did you mean --sender mykill?\n"},
		"a signal":               {[]string{"--signal", "TRM"}, "; did you mean TERM?\n"},
		"a signal as it is sent": {[]string{"-s", "sigkil"}, "; did you mean KILL?\n"},
		"a target for a log":     {[]string{"mysqld"}, "auditkill: mysqld: no such file or directory; did you mean --target mysqld?\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, errs, _ := runReport(t, nil, append(tt.arguments, recording("seed.log"))...)
			assert.Contains(t, errs, tt.says)
		})
	}
	_, errs, _ := runReport(t, nil, "missing.log")
	assert.NotContains(t, errs, "did you mean")
}

// A flag that does not exist is answered with one that does.
func TestUnknownFlags(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		arguments []string
		says      string
	}{
		{[]string{"report", "--tagret", "x"}, "unknown flag: --tagret; did you mean --target? See `auditkill report --help`"},
		{[]string{"report", "--targets=x"}, "unknown flag: --targets; did you mean --target? See `auditkill report --help`"},
		{[]string{"watch", "--xyzzy"}, "unknown flag: --xyzzy; see `auditkill watch --help`"},
		{[]string{"why", "-z", "mysqld"}, "unknown shorthand flag: 'z' in -z; see `auditkill why --help`"},
	} {
		_, errs, code := answer(t, tt.arguments...)
		assert.Equal(t, exitFailure, code)
		assert.Equal(t, "auditkill: "+tt.says+"\n", errs)
	}
}
