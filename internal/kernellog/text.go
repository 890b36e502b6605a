// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kernellog

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/lazyregexp"
)

// Entry is a line of a kernel log as dmesg or journalctl prints it, or of a file of syslog.
type Entry struct {
	Message
	// Stamp says what the line tells of its time.
	Stamp Stamp
	// SinceBoot is the time since boot, if that is all that the line tells.
	SinceBoot time.Duration
	// Writer is who wrote it, such as "systemd"; empty or "kernel" is the kernel.
	Writer string
	// Trusted is true if no program can make the log say so: the journal's own fields and what dmesg prints.
	Trusted bool
	// Numbered is true if the kernel's own time stands before the text, as syslog daemons write it that read the kernel's log by
	// syslog(2): that puts one before each line of a message, so that a line feed in a name begins what looks like another message.
	Numbered bool
}

// Stamp is a kind of time.
type Stamp int

const (
	// StampWhole is a date with a year.
	StampWhole Stamp = iota
	// StampBoot is a time since boot.
	StampBoot
	// StampNoYear is a date without a year.
	StampNoYear
)

// WritesToKernelLog reports whether a writer is one of those that may write to the kernel's log, so that journalctl -k
// has its lines: systemd and what runs while the host is being started.
func WritesToKernelLog(writer string) bool {
	return strings.HasPrefix(writer, "systemd") || strings.HasPrefix(writer, "dracut")
}

// Kernel reports whether the kernel itself wrote the line.
func (e *Entry) Kernel() bool { return e.Writer == "" || e.Writer == "kernel" }

// ErrNoEntry says that a line is not of a kernel log.
var ErrNoEntry = errors.New("this is no line of dmesg or journalctl")

// Reader reads lines. Dates without a zone are in the Location, and dates without a year are the latest that are not
// after Latest.
type Reader struct {
	Location *time.Location
	Latest   time.Time
}

var (
	// bracketed is what dmesg prints: "[12345.678901] ", with -T "[Sun Nov 29 02:37:32 2026] ", with -r "<6>[...] ".
	bracketed = lazyregexp.New(`^(?:<(\d{1,4})>)?\[ *(?:(\d{1,10})\.(\d{6})|([A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}))\](?:\[ *([TC]\d{1,10})\])? ?(.*)$`)
	// iso is what journalctl -o short-iso, dmesg --time-format iso and syslog print, this one perhaps with the priority: "<85>".
	iso = lazyregexp.New(`^(?:<\d{1,3}>)?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:([.,])(\d{1,9}))?(Z|[+-]\d\d:?\d\d) (.*)$`)
	// short is what journalctl and syslog print: "Nov 29 02:37:32.123456 ", "<85>Nov 29 02:37:32 ".
	short = lazyregexp.New(`^(?:<\d{1,3}>)?([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)(?:\.(\d{1,9}))? (.*)$`)
	// written is who wrote a line: "host kernel: ", "host systemd[1]: ".
	written = lazyregexp.New(`^([^ ]{1,255}) ([^ \[\]:]{1,64})(\[\d{1,10}\])?: (.*)$`)
	// again is the time since boot that syslog may leave in a line of the kernel.
	again = lazyregexp.New(`^\[ *\d{1,10}\.\d{6}\] `)
)

// Parse reads a line.
func (r *Reader) Parse(line string) (e Entry, err error) {
	line = strings.TrimSuffix(line, "\r")
	if strings.HasPrefix(line, "{") {
		return parseJSON(line)
	}
	if m := bracketed().FindStringSubmatch(line); m != nil {
		return r.bracketed(m)
	}
	if m := iso().FindStringSubmatch(line); m != nil {
		return parseISO(m)
	}
	if m := short().FindStringSubmatch(line); m != nil {
		return r.short(m)
	}
	return e, ErrNoEntry
}

func (r *Reader) bracketed(m []string) (e Entry, err error) {
	priority, _ := strconv.Atoi(m[1]) // if there is none, it is the kernel's
	if priority>>3 != 0 {
		e.Writer = "syslog"
	}
	e.Text, e.Caller, e.Trusted = m[6], m[5], true
	if m[4] != "" {
		e.Time, err = time.ParseInLocation(time.ANSIC, m[4], r.Location)
		return e, err
	}
	e.Stamp = StampBoot
	seconds, _ := strconv.ParseInt(m[2], 10, 64) // ten digits at most
	micros, _ := strconv.ParseInt(m[3], 10, 64)  // six digits
	if seconds > 1e9 {
		return e, ErrNoEntry // no host is up for 30 years
	}
	e.SinceBoot = time.Duration(seconds)*time.Second + time.Duration(micros)*time.Microsecond
	return e, nil
}

func parseISO(m []string) (e Entry, err error) {
	zone := strings.Replace(m[4], ":", "", 1)
	if zone == "Z" {
		zone = "+0000"
	}
	e.Time, err = time.Parse("2006-01-02T15:04:05-0700", m[1]+zone)
	e.Time = e.Time.Add(fraction(m[3]))
	if m[2] == "," { // dmesg, which prints what the kernel wrote
		e.Text, e.Trusted = m[5], true
		return e, err
	}
	if !e.written(m[5]) {
		return e, ErrNoEntry
	}
	return e, err
}

func (r *Reader) short(m []string) (e Entry, err error) {
	if !e.written(m[3]) {
		return e, ErrNoEntry
	}
	e.Stamp = StampNoYear
	// The 29th of February is in a leap year only, so the year comes first.
	for year := r.Latest.Year(); year > r.Latest.Year()-5; year-- {
		e.Time, err = time.ParseInLocation("2006 "+time.Stamp, strconv.Itoa(year)+" "+m[1], r.Location)
		if err == nil && !e.Time.After(r.Latest) {
			e.Time = e.Time.Add(fraction(m[2]))
			return e, nil
		}
	}
	return e, errors.Join(ErrNoEntry, err)
}

// written reads who wrote a line, and what.
func (e *Entry) written(text string) bool {
	m := written().FindStringSubmatch(text)
	if m == nil {
		return false
	}
	e.Node, e.Writer, e.Text = m[1], m[2]+m[3], m[4]
	if e.Kernel() {
		number := again().FindString(e.Text)
		e.Text, e.Numbered = strings.TrimPrefix(e.Text, number), number != ""
	}
	return true
}

func fraction(digits string) time.Duration {
	nanos, _ := strconv.ParseInt((digits + "000000000")[:9], 10, 64) // nine digits
	return time.Duration(nanos)
}

// journalEntry is a line of journalctl -o json. Fields with an underscore are set by the journal itself
// (systemd.journal-fields(7)).
type journalEntry struct {
	Transport string          `json:"_TRANSPORT"`
	Facility  string          `json:"SYSLOG_FACILITY"`
	Realtime  string          `json:"__REALTIME_TIMESTAMP"`
	Host      string          `json:"_HOSTNAME"`
	Writer    string          `json:"SYSLOG_IDENTIFIER"`
	Message   json.RawMessage `json:"MESSAGE"`
}

func parseJSON(line string) (e Entry, err error) {
	var j journalEntry
	if err = json.Unmarshal([]byte(line), &j); err != nil || j.Realtime == "" {
		return e, ErrNoEntry
	}
	micros, err := strconv.ParseInt(j.Realtime, 10, 64)
	if err != nil {
		return e, ErrNoEntry
	}
	e.Time, e.Node, e.Trusted, e.Writer = time.UnixMicro(micros), j.Host, true, "kernel"
	if j.Transport != "kernel" || j.Facility != "" && j.Facility != "0" {
		e.Writer = "another program"
	}
	if json.Unmarshal(j.Message, &e.Text) != nil {
		var data []uint8 // of text that is not UTF-8, the journal prints the bytes
		_ = json.Unmarshal(j.Message, &data)
		e.Text = string(data)
	}
	return e, nil
}
