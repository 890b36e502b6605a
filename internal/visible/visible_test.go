// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package visible

import (
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestText(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"empty":                        {"", ""},
		"plain":                        {`mysqld --user=mysql "a 'b' (c)"`, `mysqld --user=mysql "a 'b' (c)"`},
		"other scripts":                {"naïve 日本 ✓", "naïve 日本 ✓"},
		"newline":                      {"a\nb", `a\nb`},
		"tab and carriage return":      {"a\tb\r", `a\tb\r`},
		"NUL":                          {"a\x00", `a\x00`},
		"escape sequence":              {"\x1b[31mred\a", `\x1b[31mred\a`},
		"DEL":                          {"a\x7f", `a\x7f`},
		"C1 in UTF-8":                  {"a\u009b2Jb\u0085", `a\u009b2Jb\u0085`},
		"C1 as a byte":                 {"a\x9b2J", "a\uFFFD2J"},
		"text from right to left":      {"a\u202egnp.exe", `a\u202egnp.exe`},
		"isolates":                     {"\u2066a\u2069", `\u2066a\u2069`},
		"line and paragraph":           {"a\u2028b\u2029", `a\u2028b\u2029`},
		"zero width":                   {"my\u200bsql\u200d\ufeff", `my\u200bsql\u200d\ufeff`},
		"soft hyphen":                  {"my\u00adsqld", `my\u00adsqld`},
		"other spaces":                 {"a\u00a0b\u3000c", `a\u00a0b\u3000c`},
		"letters that nobody sees":     {"\u3164\uffa0\u115f", `\u3164\uffa0\u115f`},
		"variation selectors and tags": {"a\ufe0f\U000e0101\U000e0041", `a\ufe0f\U000e0101\U000e0041`},
		"private use":                  {"\ue000", `\ue000`},
		"no UTF-8":                     {"a\xff\xfe\xc3b\xff", "a\uFFFDb\uFFFD"},
		"a replaced one already":       {"a\uFFFD", "a\uFFFD"},
		"unit":                         {`/system.slice/dm\x2dcrypt.service`, `/system.slice/dm\x2dcrypt.service`},
		"backslash that means nothing": {`grep '\.log$' \`, `grep '\.log$' \`},
		"like a newline":               {`printf 'a\n'`, `printf 'a\\n'`},
		"like an escape":               {`\x1b[2J`, `\\x1b[2J`},
		"like half an escape":          {"\\x\x1b", `\x\x1b`},
		"like a code point":            {`C:\users`, `C:\\users`},
		"before an escape":             {"\\\n", `\\\n`},
		"before a byte":                {"\\\xff", `\\` + "\uFFFD"},
		"two of them":                  {`\\server`, `\\\server`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, Text(tt.text))
			assert.Equal(t, tt.want, Short(tt.text, 100))
		})
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "one\ntwo\\x1b\n\\\\n", Lines("one\ntwo\x1b\n\\n"))
	assert.Equal(t, `a\x1d`, Lines("a\x1d"))
	assert.Equal(t, "one\n", Lines("one\n"))
}

// A message is the same however often it is passed on.
func TestMessage(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"cannot open a":         "cannot open a",
		`open "a\x1b": refused`: `open "a\x1b": refused`,
		"open a\x1b\n":          `open a\x1b\n`,
		"\\\u202e\xff":          `\\u202e` + "\uFFFD",
	} {
		assert.Equal(t, want, Message(text))
		assert.Equal(t, want, Message(Message(text)))
	}
}

func TestName(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"plain":                   {"mysqld", "mysqld"},
		"kernel thread":           {"kworker/u8:2-ev", "kworker/u8:2-ev"},
		"ordinary characters":     {"a.b_c-d+e@f:g/h=i~j%k#l", "a.b_c-d+e@f:g/h=i~j%k#l"},
		"other scripts":           {"सर्वर日本naïve", "सर्वर日本naïve"},
		"path":                    {"/usr/bin/python3.11", "/usr/bin/python3.11"},
		"space":                   {"Web Content", `"Web Content"`},
		"service":                 {"nginx: worker", `"nginx: worker"`},
		"parentheses":             {"(sd-pam)", `"(sd-pam)"`},
		"bracket":                 {"[", `"["`},
		"deleted":                 {"/usr/bin/x (deleted)", `"/usr/bin/x (deleted)"`},
		"comma":                   {"a,b", `"a,b"`},
		"semicolon":               {"a;b", `"a;b"`},
		"quotes":                  {`a"b'`, `"a\"b'"`},
		"backslash":               {`a\nb`, `"a\\nb"`},
		"newline":                 {"a\nb", `"a\nb"`},
		"no UTF-8":                {"a\xff", "\"a\uFFFD\""},
		"like an unknown name":    {"?", `"?"`},
		"like a name that is cut": {"a…", `"a…"`},
		"wide brackets":           {"a［1］", `"a［1］"`},
		"mark without a letter":   {"\u0301a", "\"\u0301a\""},
		"nothing to see":          {"a\u200b", `"a\u200b"`},
		"braille blank":           {"a\u2800b", "\"a\u2800b\""},
		"sentence": {
			"mysqld[1] (/usr/sbin/mysqld, uid 0) sent SIGKILL to x", `"mysqld[1] (/usr/sbin/mysqld, uid 0) sent SIGKILL to x"`,
		},
		"as long as may be":      {strings.Repeat("x", 64), strings.Repeat("x", 64)},
		"too long":               {strings.Repeat("x", 65), strings.Repeat("x", 64) + "…"},
		"cut within a character": {strings.Repeat("x", 63) + "é", strings.Repeat("x", 63) + "…"},
		"quoted and too long":    {strings.Repeat("x ", 33), `"` + strings.Repeat("x ", 32) + `"…`},
		"escaped and too long":   {"(" + strings.Repeat("\x1b", 30), `"(` + strings.Repeat(`\x1b`, 15) + `"…`},
		"megabytes":              {strings.Repeat("\n", 1<<20), `"` + strings.Repeat(`\n`, 32) + `"…`},
		"megabytes of ordinary":  {strings.Repeat("a", 1<<20), strings.Repeat("a", 64) + "…"},
		"megabytes of no UTF-8":  {strings.Repeat("\x80a", 1<<20), `"` + strings.Repeat("\uFFFDa", 16) + `"…`},
		"quotes that do not fit": {strings.Repeat(`"`, 33), `"` + strings.Repeat(`\"`, 32) + `"…`},
		"nothing":                {"", ""},
		"colon alone":            {":", ":"},
		"word of a sentence":     {"kernel", "kernel"},
		"right to left":          {"\u202ea", `"\u202ea"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, Name(tt.text))
			assert.Equal(t, "to "+tt.want, string(AppendWord([]byte("to "), tt.text, NameLimit)))
		})
	}
}

// Words are what a command line is made of, within something that none of them can end.
func TestAppendWords(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"systemctl restart mariadb":           "systemctl restart mariadb",
		"mysql --password=*** -e x":           "mysql --password=*** -e x",
		"sh -c (x)":                           `"sh -c (x)"`,
		"a, b":                                `"a, b"`,
		`a "b"`:                               `"a \"b\""`,
		"a  b":                                `"a  b"`,
		" a":                                  `" a"`,
		"a ":                                  `"a "`,
		"a \n":                                `"a \n"`,
		"":                                    `""`,
		"1234567890 1234567890 123456789":     "1234567890 1234567890 123456789",
		"1234567890 12345678901234567890 1":   "1234567890 12345678901234567890…",
		"1234567890 12345678901234567890\x85": `"1234567890 12345678901234567890"…`,
	} {
		assert.Equal(t, "to "+want, string(AppendWords([]byte("to "), text, 31)), "%q", text)
	}
}

func TestShort(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":            "",
		"12345678":    "12345678",
		"123456789":   "12345…",
		"1234567é":    "12345…",
		"1234éabc":    "1234…",
		"123456\n":    `123456\n`,
		"1234567\n":   "12345…",
		"1234\x1babc": "1234…",
		"\xff\xff":    "\uFFFD",
		"ééééé":       "éé…",
	} {
		assert.Equal(t, want, Short(text, 8), text)
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                     "",
		"1234":                 "1234",
		"12345":                "1234",
		"123é":                 "123",
		"12é5":                 "12é",
		"\x80\x80\x80\x80\x80": "\x80\x80\x80\x80",
	} {
		assert.Equal(t, want, Cut(text, 4), "%q", text)
	}
	assert.Empty(t, Cut("é", 0))
	assert.Empty(t, Cut("é", 1))
}

func TestCell(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                   "",
		"mysqld":             "mysqld",
		"a=b":                "a=b",
		"/usr/bin/x":         "/usr/bin/x",
		`=cmd|' /C calc'!A0`: `'=cmd|' /C calc'!A0`,
		"+1":                 "'+1",
		"-bash":              "'-bash",
		"@SUM(1)":            "'@SUM(1)",
		"\t=1":               "'\t=1",
		"\r":                 "'\r",
		"  =1":               "'  =1",
		`"=1`:                `'"=1`,
		` "'=1`:              `' "'=1`,
		"'=1":                "''=1",
		"＝1":                 "'＝1",
		`\t=1`:               `\t=1`,
		"'":                  "'",
		"'quoted'":           "'quoted'",
	} {
		assert.Equal(t, want, Cell(text), "%q", text)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	for _, text := range []string{"/usr/lib/systemd/systemd", "naïve ✓", `dm\x2dcrypt.service`} {
		assert.Zero(t, testing.AllocsPerRun(100, func() { _ = Text(text) }), text)
	}
	buf := make([]byte, 0, 256)
	for _, text := range []string{"mysqld", "naïve", "Web Content", "a\n"} {
		assert.Zero(t, testing.AllocsPerRun(100, func() { _ = AppendWord(buf, text, NameLimit) }), text)
	}
}

// plainText undoes Text.
func plainText(t *testing.T, text string) string {
	t.Helper()
	var b strings.Builder
	for text != "" {
		if strings.HasPrefix(text, `\`) {
			r, _, rest, err := strconv.UnquoteChar(text, 0)
			ours := err == nil && !strings.ContainsAny(text[1:2], "01234567") && (text[1] != 'x' || r < utf8.RuneSelf)
			if ours && (r == '\\' || unseen(r, utf8.RuneLen(r))) {
				b.WriteRune(r)
				text = rest
				continue
			}
		}
		_, size := utf8.DecodeRuneInString(text)
		b.WriteString(text[:size])
		text = text[size:]
	}
	return b.String()
}

// Whatever a text is: it stays in its line, and what it was can be told from what it is now.
func FuzzText(f *testing.F) {
	for _, text := range []string{
		"mysqld", "a\nb", `a\nb`, `\\n`, "\\\x1b", "\\x\x1b", "\\\\\n", `\x2d`, `\x1`, `\`, "\u202e\u2028\u0085\x9b", "\xff\\", "=1", `"`,
		"x[1] (y, uid 0)", "\ufe0f\u3164", `\u`, `\U0001`, `\xZZ`, "\\\u0301",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := Text(text)
		require.True(t, utf8.ValidString(got))
		for _, r := range got {
			require.True(t, unicode.IsPrint(r), "%q", got)
		}
		want := strings.ToValidUTF8(text, "\uFFFD")
		require.Equal(t, want, plainText(t, got), "%q", got)

		word := Name(text)
		require.LessOrEqual(t, len(word), NameLimit+len(`""…`))
		if strings.HasPrefix(word, `"`) {
			unquoted, err := strconv.Unquote(strings.TrimSuffix(word, ellipsis))
			require.NoError(t, err, word)
			require.True(t, strings.HasPrefix(want, unquoted), word)
		} else {
			require.False(t, strings.ContainsAny(word, " \"'`\\,;?()[]{}<>"), word)
		}
		short := Short(text, NameLimit)
		require.LessOrEqual(t, len(short), NameLimit)
		require.True(t, utf8.ValidString(short))
		require.Equal(t, Message(text), Message(Message(text)))
	})
}

func BenchmarkText(b *testing.B) {
	for name, text := range map[string]string{
		"path":    "/usr/lib/systemd/systemd",
		"utf8":    "/srv/naïve/日本",
		"escaped": "/srv/a\nb",
		"unit":    `/system.slice/dm\x2dcrypt.service`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_ = Text(text)
			}
		})
	}
}
