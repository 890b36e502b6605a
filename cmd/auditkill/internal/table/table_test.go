// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package table

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/rivo/uniseg"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
)

type row struct{ time, name, path, rest string }

func columns() []Column[row] {
	return []Column[row]{
		{Title: "TIME", Usual: 8, Least: 5, Text: func(r row) string { return r.time }, Short: func(r row) string { return r.time[:5] }},
		{Title: "NAME", Usual: 10, Least: 4, Text: func(r row) string { return r.name }, Style: func(row) terminal.Style { return terminal.Red }},
		{Title: "PATH", Usual: 16, Least: 4, KeepEnd: true, Text: func(r row) string { return r.path }},
		{Title: "REST", Usual: 8, Least: 4, Text: func(r row) string { return r.rest }},
	}
}

var rows = []row{
	{"12:00:01", "kill", "/usr/bin/kill", "kill -9 4711 and so on"},
	{"12:00:02", "", "/opt/a/very/long/path/to/the/program", ""},
	{"12:00:03", "日本語のプロセス", "/opt/日本語/プロセス", "naïve 👩‍👩‍👧 café"},
}

// printed prints the rows and returns the lines.
func printed(t *testing.T, sample int) []string {
	t.Helper()
	var out bytes.Buffer
	table := New(&out, terminal.Terminal{}, columns(), sample)
	for _, each := range rows {
		require.NoError(t, table.Print(each))
	}
	require.NoError(t, table.Flush())
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// Where there is no terminal nothing is cut, and nothing is colored.
func TestPipe(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []string{
		"TIME      NAME              PATH                                  REST",
		"12:00:01  kill              /usr/bin/kill                         kill -9 4711 and so on",
		"12:00:02  -                 /opt/a/very/long/path/to/the/program  -",
		"12:00:03  日本語のプロセス  /opt/日本語/プロセス                  naïve 👩‍👩‍👧 café",
	}, printed(t, 100))
	assert.Equal(t, []string{
		"TIME      NAME  PATH           REST",
		"12:00:01  kill  /usr/bin/kill  kill -9 4711 and so on",
		"12:00:02  -     /opt/a/very/long/path/to/the/program  -",
		"12:00:03  日本語のプロセス  /opt/日本語/プロセス  naïve 👩‍👩‍👧 café",
	}, printed(t, 1), "of which one was looked at")
	assert.Equal(t, []string{
		"TIME      NAME        PATH              REST",
		"12:00:01  kill        /usr/bin/kill     kill -9 4711 and so on",
		"12:00:02  -           /opt/a/very/long/path/to/the/program  -",
		"12:00:03  日本語のプロセス  /opt/日本語/プロセス  naïve 👩‍👩‍👧 café",
	}, printed(t, 0), "of which none was looked at")
}

// Two blanks separate columns, so that no text has them.
func TestBlanks(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"none":            {"kill", "kill"},
		"one":             {"tmux: server", "tmux: server"},
		"a forged column": {"kill  root", `kill \x20root`},
		"many":            {"a    b  c", `a \x20\x20\x20b \x20c`},
		"at the end":      {"kill   ", `kill \x20\x20`},
		"at the beginning, beside those between columns": {" kill", `\x20kill`},
		"nothing else": {" ", `\x20`},
		"no text":      {"", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, sample := range []int{0, 1} {
				var out bytes.Buffer
				column := Column[string]{Title: "NAME", Text: func(s string) string { return s }}
				last := Column[string]{Title: "LAST", Text: func(string) string { return "end" }}
				table := New(&out, terminal.Terminal{}, []Column[string]{column, last}, sample)
				require.NoError(t, table.Print(tt.text))
				require.NoError(t, table.Flush())
				_, line, _ := strings.Cut(strings.TrimSuffix(out.String(), "\n"), "\n")
				assert.Equal(t, tt.want, strings.TrimRight(strings.TrimSuffix(line, "end"), " "))
				assert.Regexp(t, "^[^ ]+( [^ ]+)* ?  +end$", line)
			}
		})
	}
}

// A text that is written in place of a longer one has no two blanks either.
func TestBlanksOfAShortText(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	tty, screen := onTerminal(t, 28)
	all := columns()
	all[0].Short = func(row) string { return "1  2" }
	table := New(tty, terminal.Of(tty), all, 0)
	require.NoError(t, table.Print(rows[0]))
	readLine(t, screen)
	assert.Equal(t, `1 \x202 kill   …/kill kill …`, readLine(t, screen))
}

// onTerminal is where a table is printed on, and what it reads.
func onTerminal(t *testing.T, width int) (*os.File, *bufio.Reader) {
	t.Helper()
	control, tty, err := pty.Open()
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, tty.Close())
		require.NoError(t, control.Close())
	})
	resize(t, tty, width)
	return tty, bufio.NewReader(control)
}

func resize(t *testing.T, tty *os.File, width int) {
	t.Helper()
	require.NoError(t, pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: uint16(width)}))
}

func readLine(t *testing.T, from *bufio.Reader) string {
	t.Helper()
	line, err := from.ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSuffix(line, "\r\n")
}

func TestTerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	for width, want := range map[int][]string{
		200: {
			"TIME      NAME              PATH                                  REST",
			"12:00:01  kill              /usr/bin/kill                         kill -9 4711 and so on",
			"12:00:02  -                 /opt/a/very/long/path/to/the/program  -",
			"12:00:03  日本語のプロセス  /opt/日本語/プロセス                  naïve 👩‍👩‍👧 café",
		},
		24: nil, 12: nil, 5: nil, 1: nil,
	} {
		tty, screen := onTerminal(t, width)
		table := New(tty, terminal.Of(tty), columns(), 100)
		for _, each := range rows {
			require.NoError(t, table.Print(each))
		}
		require.NoError(t, table.Flush())
		for i := range len(rows) + 1 {
			line := readLine(t, screen)
			assert.LessOrEqual(t, uniseg.StringWidth(line), width, "%q", line)
			assert.Equal(t, strings.TrimRight(line, " "), line)
			if width == 200 {
				assert.Equal(t, want[i], line)
			}
		}
	}
}

func TestResize(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	tty, screen := onTerminal(t, 60)
	table := New(tty, terminal.Of(tty), columns(), 0)
	require.NoError(t, table.Print(rows[1]))
	assert.Equal(t, "TIME      NAME        PATH              REST", readLine(t, screen))
	assert.Equal(t, "12:00:02  -           …/to/the/program  -", readLine(t, screen), "at once")
	resize(t, tty, 28)
	require.NoError(t, table.Print(rows[0]))
	assert.Equal(t, "12:00   kill   …/kill kill …", readLine(t, screen))
	resize(t, tty, 60)
	require.NoError(t, table.Print(rows[0]))
	assert.Equal(t, "12:00:01  kill        /usr/bin/kill     kill -9…", readLine(t, screen))
}

func TestColor(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("TERM", "xterm")
	tty, screen := onTerminal(t, 60)
	table := New(tty, terminal.Of(tty), columns(), 0)
	require.NoError(t, table.Print(rows[0]))
	assert.Contains(t, readLine(t, screen), "\x1b[1mTIME\x1b[0m")
	assert.Contains(t, readLine(t, screen), "12:00:01  \x1b[31mkill\x1b[0m        /usr/bin/kill")
}

// A column that yields becomes narrower before the others, and one that is not wanted is left out.
func TestYields(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	tty, screen := onTerminal(t, 40)
	yielding := columns()
	yielding[2].Yields = true
	yielding[3].Wanted = func(rows []row) bool { return len(rows) > 1 }
	table := New(tty, terminal.Of(tty), yielding, 9)
	require.NoError(t, table.Print(row{"12:00:01", "a long name", "/a/long/path/to/a/program", "rest"}))
	require.NoError(t, table.Flush())
	assert.Equal(t, "TIME     NAME        PATH", readLine(t, screen))
	assert.Equal(t, "12:00:01 a long name …/path/to/a/program", readLine(t, screen))
}

// A column that is optional is left out before a name is cut, and is there again on a wider terminal.
func TestOptional(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	tty, screen := onTerminal(t, 50)
	optional := columns()
	optional[0].Yields, optional[2].Yields, optional[2].Optional, optional[3].Optional = true, true, true, true
	table := New(tty, terminal.Of(tty), optional, 1)
	for i, tt := range []struct {
		width int
		want  string
	}{
		{50, "12:00:01  a long name  /a/path/to/a/file  rest"},
		{27, "12:00 a long name …ile rest"},
		{26, "12:00   a long name …/file"},
		{22, "12:00 a long name …ile"},
		{21, "12:00:01 a long name"},
		{17, "12:00 a long name"},
		{14, "12:00 a long …"},
		{50, "12:00:01  a long name  /a/path/to/a/file  rest"},
	} {
		resize(t, tty, tt.width)
		require.NoError(t, table.Print(row{"12:00:01", "a long name", "/a/path/to/a/file", "rest"}))
		require.NoError(t, table.Flush())
		if i == 0 {
			assert.Equal(t, "TIME      NAME         PATH               REST", readLine(t, screen))
		}
		assert.Equal(t, tt.want, readLine(t, screen), tt.width)
	}
}

// A text that is wanted whole is never cut as long as a line holds it: what does not fit goes on in the next line.
func TestWhole(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	for width, want := range map[int][]string{
		60: {"TIME      NAME              PATH           REST", "12:00:01  averylongname[1]  /usr/bin/kill  EPERM"},
		40: {"TIME     NAME         PATH         REST", "12:00:01 averylongname[1] …sr/bin/kill", "    EPERM"},
		30: {"TIME     NAME    PATH    REST", "12:00:01 averylongname[1] …ill", "    EPERM"},
		20: {"TIME  NAME PATH REST", "12:00", "    averylongname[1]", "    EPERM"},
	} {
		tty, screen := onTerminal(t, width)
		all := columns()
		all[1].Whole, all[3].Whole = true, true
		table := New(tty, terminal.Of(tty), all, 10)
		require.NoError(t, table.Print(row{"12:00:01", "averylongname[1]", "/usr/bin/kill", "EPERM"}))
		require.NoError(t, table.Flush())
		_, err := tty.WriteString("end\n")
		require.NoError(t, err)
		var got []string
		for line := readLine(t, screen); line != "end"; line = readLine(t, screen) {
			got = append(got, line)
			assert.LessOrEqual(t, uniseg.StringWidth(line), width, "%q", line)
		}
		assert.Equal(t, want, got, width)
	}
}

func TestBegin(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	table := New(&out, terminal.Terminal{}, columns(), 0)
	require.NoError(t, table.Begin())
	assert.Equal(t, "TIME      NAME        PATH              REST\n", out.String())
	require.NoError(t, table.Print(rows[0]))
	assert.Equal(t, 2, strings.Count(out.String(), "\n"), "once")
}

func TestCut(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text    string
		width   int
		keepEnd bool
		want    string
	}{
		"fits":                   {"kill", 4, false, "kill"},
		"end":                    {"killer", 4, false, "kil…"},
		"beginning":              {"/bin/kill", 5, true, "…kill"},
		"one column":             {"kill", 1, false, "…"},
		"none":                   {"kill", 0, false, ""},
		"wide letters":           {"日本語", 5, false, "日本…"},
		"a wide letter too many": {"日本語", 4, false, "日…"},
		"wide letters, the end":  {"日本語", 4, true, "…語"},
		"of several runes":       {"👩‍👩‍👧👩‍👩‍👧", 3, false, "👩‍👩‍👧…"},
		"combining":              {"e\u0301e\u0301e\u0301", 2, false, "e\u0301…"},
	} {
		got := cut(tt.text, tt.width, tt.keepEnd)
		assert.Equal(t, tt.want, got, name)
		assert.LessOrEqual(t, uniseg.StringWidth(got), tt.width, name)
	}
}

type broken struct{}

var errBroken = errors.New("broken")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestErrors(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, New(broken{}, terminal.Terminal{}, columns(), 0).Print(rows[0]), errBroken)
	table := New(broken{}, terminal.Terminal{}, columns(), 1)
	require.NoError(t, table.Print(rows[0]))
	require.ErrorIs(t, table.Flush(), errBroken)
}
