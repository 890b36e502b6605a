// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"bufio"
	"bytes"
	"cmp"
	"container/heap"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/kernellog"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/logfile"
	"github.com/auditkill/auditkillreceiver/internal/rendering"
)

const (
	// sourceLog and sourceJournal are the values of kill.source for what dmesg and what the journal or syslog has.
	sourceLog, sourceJournal = "kmsg", "journal"
	// maxUndated is how many kills are kept at most until it is known when the host was started.
	maxUndated = 1 << 16
)

// Doubt is what is not certain about a kernel log.
type Doubt int

const (
	// NoYear is a log whose dates have no year.
	NoYear Doubt = 1 << iota
	// Forgeable is a log where any user can have a line written that looks like the kernel's: it has lines of other programs, or
	// each line of a message has a prefix of its own.
	Forgeable
	// SinceBoot is a log of this boot with times since boot, which drift away from the clock by seconds.
	SinceBoot
)

var errOtherBoot = errors.New("its times are those since boot, and nothing in it shows that it is of this boot: " +
	"use journalctl -k, dmesg -T or dmesg --time-format iso on its host")

// Boot knows the current boot of this host.
type Boot interface {
	// Has reports whether the kernel's log has a message.
	Has(sinceBoot time.Duration, text string) bool
	// Time returns when a message was written.
	Time(sinceBoot time.Duration) time.Time
}

// isKernelLog reports whether lines are those of a kernel log rather than of an audit log. A kernel log may have audit
// records as well, and so may the journal and syslog, which have the same form.
func isKernelLog(lines []byte) bool {
	reader := kernellog.Reader{Location: time.Local, Latest: time.Now()} //nolint:gosmopolitan // as the log has it
	for line := range bytes.Lines(lines) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if bytes.HasPrefix(line, []byte("type=")) || bytes.HasPrefix(line, []byte("node=")) {
			return false
		}
		if _, err := reader.Parse(string(line)); err == nil {
			return true
		}
		if _, err := auditrecord.Parse(line); err == nil {
			return false
		}
	}
	return false
}

// kernelReading is one pass over a kernel log.
type kernelReading struct {
	*reading
	path   string
	reader kernellog.Reader
	parser kernellog.Parser
	// undated are kills that only have a time since boot, thisBoot is true once one of the messages around them was found in
	// this host's own log. zero stands for the start of the host.
	undated  []*kill.Event
	thisBoot bool
	// numbered is true once a line of a syslog daemon was read that may be a part of a message: kernellog.Entry.
	numbered bool
}

// zero is the start of the host while that is not known.
var zero = time.Unix(0, 0)

// readKernel reads a part that is a kernel log. It reports whether more is wanted.
func (r *reading) readKernel(p part, in io.Reader) (more bool, err error) {
	latest := time.Now()
	if p.info != nil {
		latest = p.info.ModTime().Add(time.Second) // of a second of which the log has no fractions
	}
	k := &kernelReading{reading: r, path: p.name, reader: kernellog.Reader{Location: time.Local, Latest: latest}} //nolint:gosmopolitan // as the log has it
	buffered := bufio.NewReaderSize(in, logfile.MaxLine)
	for err == nil {
		var data []byte
		data, err = buffered.ReadSlice('\n')
		line := strings.TrimSuffix(string(data), "\n")
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a long line
			_, err = buffered.ReadSlice('\n')
		}
		if len(data) == 0 {
			continue
		}
		r.log.lines++
		if !k.add(line) {
			return false, nil
		}
	}
	k.parser.Flush()
	k.hand()
	k.date()
	more = k.emit()
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return more, err
}

// add reads a line. It reports whether more is wanted.
func (k *kernelReading) add(line string) bool {
	e, err := k.reader.Parse(line)
	record, ok := k.scanner.Add([]byte(line), time.Now())
	if err != nil {
		return !ok || k.emit() // the rest of a message of several lines, or a remark of journalctl
	}
	if ok {
		return k.addRecord(&e, &record)
	}
	if e.Stamp == kernellog.StampBoot {
		e.Time = zero.Add(e.SinceBoot)
		if boot := k.log.Boot; !k.thisBoot && boot != nil && boot.Has(e.SinceBoot, e.Text) {
			k.thisBoot = true
			k.doubt(SinceBoot)
		}
	} else {
		k.log.saw(e.Time)
	}
	if e.Stamp == kernellog.StampNoYear {
		k.doubt(NoYear)
	}
	if !e.Kernel() {
		if !e.Trusted && !kernellog.WritesToKernelLog(e.Writer) {
			k.doubt(Forgeable)
		}
		k.disbelieve(line)
		return true
	}
	k.parser.Source = sourceLog
	if e.Node != "" {
		k.parser.Source = sourceJournal
	}
	k.numbered = k.numbered || e.Numbered
	k.parser.Add(e.Message)
	k.hand()
	return k.emit()
}

// addRecord notes what is known of a line that is an audit record. It reports whether more is wanted.
func (k *kernelReading) addRecord(e *kernellog.Entry, record *rendering.Record) bool {
	k.log.kills++
	if e.Stamp == kernellog.StampNoYear && !record.Numbered {
		k.doubt(NoYear)
	}
	if !e.Kernel() && !e.Trusted && !record.Trusted {
		k.doubt(Forgeable)
	}
	if e.Stamp != kernellog.StampBoot {
		k.log.saw(e.Time)
	}
	return k.emit()
}

// Disbelieved are audit records that were not taken, as they stand where any user can have a line written.
type Disbelieved struct {
	// Records is how many there are. Looks and Helps say of the first what it looks like, and what helps.
	Records      int
	Looks, Helps string
}

// Disbelieved returns what was not believed in kernel logs.
func (l *Log) Disbelieved() Disbelieved { return l.disbelieved }

// disbelieve notes a line of another program if there is a record in it.
func (k *kernelReading) disbelieve(line string) {
	if !strings.Contains(line, "msg=audit(") {
		return
	}
	looks, helps := rendering.Describe([]byte(line))
	if looks == "" {
		return
	}
	d := &k.log.disbelieved
	d.Records++
	d.Looks, d.Helps = cmp.Or(d.Looks, looks), cmp.Or(d.Helps, helps)
}

func (k *kernelReading) doubt(d Doubt) { k.log.doubts |= d }

// hand takes the kills that are complete, and keeps those whose time is not known yet.
func (k *kernelReading) hand() {
	for _, e := range k.parser.Take() {
		if e.File = k.path; k.numbered {
			k.doubt(Forgeable)
		}
		if e.Time.Before(zero.AddDate(longestUp, 0, 0)) {
			if len(k.undated) < maxUndated {
				k.undated = append(k.undated, e)
			}
			continue
		}
		k.log.kills++
		heap.Push(&k.held, e)
	}
}

// longestUp is how many years a host may have been up. Nothing that this program reads is from before 1970 and that.
const longestUp = 31

// date takes the kills that only have a time since boot, if that was this boot.
func (k *kernelReading) date() {
	if len(k.undated) > 0 && !k.thisBoot {
		k.log.problem(Problem{Path: k.path, Err: errOtherBoot, Rest: true})
		return
	}
	for _, e := range k.undated {
		e.Time = k.log.Boot.Time(e.Time.Sub(zero))
		k.log.saw(e.Time)
		k.log.kills++
		heap.Push(&k.held, e)
	}
}

// saw remembers the times of the first and the last line.
func (l *Log) saw(at time.Time) {
	stamp := auditrecord.Stamp{Milliseconds: at.UnixMilli()}
	if l.first.Milliseconds == 0 {
		l.first = stamp
	}
	l.last = stamp
}

// Doubts are what is not certain about the kills that were read from kernel logs.
func (l *Log) Doubts() Doubt {
	if l.kills == 0 {
		return 0
	}
	return l.doubts
}
