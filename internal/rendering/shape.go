// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package rendering

import (
	"bytes"

	"github.com/auditkill/auditkillreceiver/internal/lazyregexp"
)

// shape is a rendering that cannot be read back.
type shape struct {
	// looks completes "it looks like", helps says what to do.
	looks, helps string
	is           func(line []byte) bool
}

// record is how a record begins that may have a host's name before it.
const record = `(node=[^ ]{1,255} )?type=[^ ]{1,32} msg=audit\(\d`

const (
	// Untagged takes the heads off the lines with rsyslog's own example of a tag, and drops all others, whatever these say.
	Untagged = `sed -nE 's/^(<[0-9]+>)?(.{15}|[^ ]+) [^ ]+ tag_audit_log: //p' FILE | auditkill report -`
	// Unstructured does the same with those that audispd has sent to a daemon of syslog.
	Unstructured = `sed -nE 's/^<[0-9]+>1 [^ ]+ [^ ]+ (audispd|audisp-syslog) [^ ]+ [^ ]+ - //p' FILE | auditkill report -`
)

const raw = "`ausearch --raw` prints what can be read"

// shapes are all of them. The first that fits counts.
var shapes = []shape{
	{"the output of ausearch -i", raw, interpreted},
	{"the output of ausearch --format csv", raw, matches(`^(NODE,EVENT,DATE,TIME,|[^,]*,[^,]*,\d\d?[/.-]\d\d?[/.-]\d{2,4},\d\d:\d\d:\d\d,\d+,)`)},
	{"the output of ausearch --format text", raw, matches(`^(On \S+ )?[Aa]t \d\d:\d\d:\d\d \d\d?[/.-]\d\d?[/.-]\d{2,4} `)},
	{"a report of aureport", raw, matches(`^([A-Z][A-Za-z-]+ (Report|Summary)$|={10,}$|\d+\. \d\d?[/.-]\d\d?[/.-]\d{2,4} \d\d:\d\d:\d\d )`)},
	{
		"JSON of go-audit", "`jq -r '. as $e | .messages[] | \"type=\\(.type) msg=audit(\\($e.timestamp):\\($e.sequence)): \\(.data)\"'` " +
			"makes records of it", contain(`{`, `"messages":[{"type":`),
	},
	{
		"JSON of laurel", "auditd's own log has what can be read, if write_logs is yes in auditd.conf; " + raw,
		contain(`{`, `"ID":"`, `:{`),
	},
	{"JSON of auditbeat", "auditd's own log has what can be read; " + raw, contain(`{`, `"auditd":{`)},
	{
		"the output of journalctl -o export or -o verbose", "`journalctl -o json _TRANSPORT=audit` prints what can be read",
		matches(`^(__CURSOR=|\s+_TRANSPORT=|\s+MESSAGE=|_TRANSPORT=|_AUDIT_ID=)`),
	},
	{
		"the output of journalctl -o cat, which has no times", "`journalctl -o json _TRANSPORT=audit` prints what can be read",
		matches(`^(SYSCALL arch=|OBJ_PID opid=|PROCTITLE proctitle=)`),
	},
	{"a file of the journal", "`journalctl --file FILE -o json` prints what can be read", begins("LPKSHHRH")},
	{
		"audit records behind another program's tag, as any user can write them", "where they are those of rsyslog's imfile, `" + Untagged +
			"` reads the records of its tag",
		matches(`^(<\d{1,3}>)?([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(\.\d{1,9})?|\d{4}-\d\d-\d\dT[^ ]{8,32}) [^ ]{1,255} [^ ]{1,64}: ` + record),
	},
	{
		"syslog of RFC 5424", "`" + Unstructured + "` reads the records of auditd's plugin",
		matches(`^<\d{1,3}>1 [^ ]+ [^ ]+ [^ ]+ [^ ]+ [^ ]+ (-|\[.*\]) \x{feff}?` + record),
	},
	{"UTF-16", "`iconv -f UTF-16 -t UTF-8` makes text of it that can be read", utf16},
}

// Describe says what a line that is not an audit record looks like, and what helps; empty if it looks like nothing known.
func Describe(line []byte) (looks, helps string) {
	for i := range shapes {
		if shapes[i].is(line) {
			return shapes[i].looks, shapes[i].helps
		}
	}
	return "", ""
}

// interpreted reports whether a line has a date in the place of seconds.
func interpreted(line []byte) bool {
	_, stamp, ok := bytes.Cut(line, []byte("msg=audit("))
	end := bytes.IndexByte(stamp, ')')
	return ok && end > 0 && bytes.ContainsAny(stamp[:end], "/ -")
}

func matches(expression string) func([]byte) bool {
	compiled := lazyregexp.New(expression)
	return func(line []byte) bool { return compiled().Match(line) }
}

func begins(text string) func([]byte) bool {
	return func(line []byte) bool { return bytes.HasPrefix(line, []byte(text)) }
}

// contain reports whether a line begins with a text, and has others somewhere, whatever blanks its writer leaves.
func contain(begin string, texts ...string) func([]byte) bool {
	return func(line []byte) bool {
		line = bytes.ReplaceAll(line, []byte(`": `), []byte(`":`))
		if !bytes.HasPrefix(line, []byte(begin)) {
			return false
		}
		for _, text := range texts {
			if !bytes.Contains(line, []byte(text)) {
				return false
			}
		}
		return true
	}
}

// utf16 reports whether a line begins with a byte order mark, or its first characters are those of a record with zero bytes
// between them.
func utf16(line []byte) bool {
	for _, begin := range []string{"\xff\xfet\x00", "\xfe\xff\x00t", "t\x00y\x00p\x00e\x00", "\x00t\x00y\x00p\x00e"} {
		if bytes.HasPrefix(line, []byte(begin)) {
			return true
		}
	}
	return false
}
