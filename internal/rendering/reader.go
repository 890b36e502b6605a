// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package rendering

import (
	"bytes"
	"encoding/json"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/kernellog"
	"github.com/auditkill/auditkillreceiver/internal/lazyregexp"
)

// maxOpen is how many events without a number may be incomplete at a time. A host has few processors at work on audited
// calls at once; what belongs to an older one is not joined to any.
const maxOpen = 8

// Record is a record in the form in which auditd writes it.
type Record struct {
	// Line is valid until the next call of Read.
	Line []byte
	// Numbered is false if the rendering has left out the event's number. The number in the line then is made up: it
	// only tells the event from others.
	Numbered bool
	// Trusted is true if no program other than the audit system can have written it.
	Trusted bool
}

// Reader reads a log line by line. Dates without a zone are local, those without a year are the latest that have
// passed. The zero value is ready to use. It is not safe for concurrent use.
type Reader struct {
	line []byte
	// open are the calls without a number whose last record has not come.
	open []call
	last uint32
}

// call is an event without a number, which began with its SYSCALL record.
type call struct {
	node string
	// second is when it was written, as its line has it.
	second int64
	// head is how its records begin after the type.
	head string
	// named is the pid that a signal's call names, in hexadecimal.
	named string
	// aimless is true if it found no target, so that no record of one belongs to it.
	aimless bool
	// doubtful is true if it may have ended already, so that what comes next need not belong to it.
	doubtful bool
}

// noSuchProcess is the exit of a call that found no target (ESRCH).
const noSuchProcess = "-3"

// journalled is what follows the writer in a line of the journal: the type, and the record.
var journalled = lazyregexp.New(`^(?:AUDIT(\d{4})|([A-Z][A-Z0-9_]{1,31}|UNKNOWN\[\d{1,5}\])) (.*)$`)

// Read reads a line, which has no line feed. now is the current time. It returns false if the line is no rendering of
// a record that it knows.
func (r *Reader) Read(line []byte, now time.Time) (Record, bool) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		return Record{}, false
	}
	if line[0] == '{' {
		return r.json(line)
	}
	if !bytes.Contains(line, []byte(" audit")) {
		return Record{}, false
	}
	reader := kernellog.Reader{Location: time.Local, Latest: now.Add(time.Second)} //nolint:gosmopolitan // as the log has it
	entry, err := reader.Parse(string(line))
	if err != nil || entry.Node == "" {
		return Record{}, false
	}
	if writer, _, _ := strings.Cut(entry.Writer, "["); writer != "audit" {
		return Record{}, false
	}
	m := journalled().FindStringSubmatch(entry.Text)
	if m == nil {
		return Record{}, false
	}
	kind := m[2]
	if number, err := strconv.ParseUint(m[1], 10, 16); err == nil {
		kind = auditrecord.Type(number).String()
	}
	return Record{Line: r.unnumbered(line, kind, m[3], &entry)}, true
}

// unnumbered makes the line of a record without a number.
func (r *Reader) unnumbered(line []byte, kind, fields string, entry *kernellog.Entry) []byte {
	second := entry.Time.Unix()
	r.open = slices.DeleteFunc(r.open, func(c call) bool { return c.node != entry.Node || second-c.second > 1 || second < c.second })
	head := ""
	switch kind {
	case "SYSCALL":
		head = r.newHead(line, entry.Time)
		if len(r.open) == maxOpen {
			r.open = slices.Delete(r.open, 0, 1)
		}
		r.open = append(r.open, call{node: entry.Node, second: second, head: head, named: field(fields, "a0="), aimless: field(fields, "exit=") == noSuchProcess})
	case "OBJ_PID":
		head = r.of(field(fields, "opid="))
	case "EXECVE", "PROCTITLE":
		head = r.of("")
	case "AVC", "LANDLOCK_ACCESS", "EOE":
		head = "" // which call it belongs to is not known, and alone it would be counted as another one
	default:
		head = r.newHead(line, entry.Time)
	}
	if kind == "PROCTITLE" { // the last record of a call
		if len(r.open) == 1 && !r.open[0].doubtful {
			r.open = r.open[:0]
		}
		for i := range r.open { // of which of them is not known
			r.open[i].doubtful = true
		}
	}
	if head == "" {
		kind, head = "UNKNOWN[1]", r.newHead(line, entry.Time) // read, and of no use
	}
	r.line = append(append(append(append(r.line[:0], "node="...), entry.Node...), " type="...), kind...)
	r.line = append(append(append(r.line, ' '), head...), fields...)
	return r.line
}

// of returns how the records of the only open call begin, or of the only one that names a target; empty if there is none.
func (r *Reader) of(target string) string {
	if len(r.open) == 1 && !r.open[0].doubtful && (target == "" || !r.open[0].aimless) {
		return r.open[0].head
	}
	pid, err := strconv.ParseInt(target, 10, 32)
	if err != nil {
		return ""
	}
	head, named := "", strconv.FormatInt(pid, 16)
	for _, c := range r.open {
		if c.named != named || c.aimless {
			continue
		}
		if head != "" {
			return ""
		}
		head = c.head
	}
	return head
}

// newHead returns how the records of an event begin, with a number that is the same whenever the line is read.
func (r *Reader) newHead(line []byte, at time.Time) string {
	hash := fnv.New32a()
	_, _ = hash.Write(line) // never fails
	number := hash.Sum32()
	if number == r.last {
		number++ // the same line twice
	}
	r.last = number
	return stamp(at.UnixMilli(), strconv.FormatUint(uint64(number), 10))
}

func stamp(milliseconds int64, serial string) string {
	millis := strconv.FormatInt(milliseconds%1000+1000, 10)
	return "msg=audit(" + strconv.FormatInt(milliseconds/1000, 10) + "." + millis[1:] + ":" + serial + "): "
}

// field returns the value of a field that is no text.
func field(fields, name string) string {
	at := strings.Index(" "+fields, " "+name)
	if at < 0 {
		return ""
	}
	value, _, _ := strings.Cut(fields[at+len(name):], " ")
	return value
}

// journalEntry is what journalctl -o json prints of an audit record (systemd.journal-fields(7)). Fields with an
// underscore are set by the journal itself.
type journalEntry struct {
	Transport string          `json:"_TRANSPORT"`
	Type      string          `json:"_AUDIT_TYPE"`
	Serial    string          `json:"_AUDIT_ID"`
	Source    string          `json:"_SOURCE_REALTIME_TIMESTAMP"`
	Host      string          `json:"_HOSTNAME"`
	Message   json.RawMessage `json:"MESSAGE"`
}

func (r *Reader) json(line []byte) (Record, bool) {
	if !bytes.Contains(line, []byte(`"_AUDIT_ID"`)) {
		return Record{}, false
	}
	var j journalEntry
	if json.Unmarshal(line, &j) != nil || j.Transport != "audit" {
		return Record{}, false
	}
	micros, err := strconv.ParseInt(j.Source, 10, 64)
	if err != nil || micros < 0 {
		return Record{}, false
	}
	if _, err = strconv.ParseUint(j.Serial, 10, 32); err != nil {
		return Record{}, false
	}
	kind, err := strconv.ParseUint(j.Type, 10, 16)
	if err != nil {
		return Record{}, false
	}
	_, fields, _ := strings.Cut(text(j.Message), " ")
	r.line = r.line[:0]
	if j.Host != "" && !strings.ContainsAny(j.Host, " \n") {
		r.line = append(append(append(r.line, "node="...), j.Host...), ' ')
	}
	r.line = append(append(append(r.line, "type="...), auditrecord.Type(kind).String()...), ' ')
	r.line = append(append(r.line, stamp(micros/1000, j.Serial)...), fields...)
	return Record{Line: r.line, Numbered: true, Trusted: true}, true
}

// text returns a text of the journal, which prints the bytes of one that is not UTF-8.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	var data []uint8
	var numbers []int
	if json.Unmarshal(raw, &numbers) == nil {
		for _, n := range numbers {
			data = append(data, byte(n))
		}
	}
	return string(data)
}
