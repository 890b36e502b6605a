// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package sources

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/plog"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// The audit system and our eBPF programs observe the same signals. They must report the same
// about them, except for what one of them cannot know (docs/events.md, "What each source can
// know").

// sourceSpecific are attributes that only one of the sources has, or that each sets in its own way.
var sourceSpecific = []string{
	"kill.audit.arch", "kill.audit.key", "kill.audit.serial", "kill.audit.subject", "kill.audit.tty",
	"kill.delivery", "kill.signal.code", "kill.source", "kill.target.selinux.label", "kill.target.thread.id",
	"log.record.uid", "thread.id",
}

// fromProcessTable are attributes that an audit record does not hold. netlink takes them from the
// process table, which may lack a process that lived for less than a quarter of a second.
var fromProcessTable = []string{
	"kill.target.executable.path", "kill.target.title", "kill.target.start_time", "kill.target.container.id",
	"kill.target.k8s.pod.uid", "kill.target.systemd.unit", "kill.target.cgroup", "process.creation.time",
	"kill.sender.ancestry", "kill.sender.ancestry_titles", "container.id", "k8s.pod.uid", "kill.sender.systemd.unit", "process.linux.cgroup",
	"kill.initiator.pid", "kill.initiator.name", "kill.initiator.title",
}

// deed is what one process did to another, perhaps several times.
type deed struct {
	event                  string
	sender, target, signal int64
	call                   string
}

// deeds groups the log records about the cast's signals and crashes by deed.
func (s *scenario) deeds(records []otlp.Record) map[deed][]otlp.Record {
	all := make(map[deed][]otlp.Record)
	for _, r := range records {
		d := deed{
			event: r.Event, sender: r.Number("process.pid"), target: r.Number("kill.target.pid"),
			signal: r.Number("kill.signal.number"), call: r.Text("kill.syscall"),
		}
		if s.cast[d.sender] && d.call != "" || r.Event == "kill.abend" && s.cast[d.target] {
			all[d] = append(all[d], r)
		}
	}
	for _, same := range all {
		slices.SortStableFunc(same, func(a, b otlp.Record) int {
			x, y := a.Key(), b.Key()
			return cmp.Or(x.Serial-y.Serial, a.Time.Compare(b.Time))
		})
	}
	return all
}

func TestBothSourcesReportTheSame(t *testing.T) {
	audit.Use(t)
	s := newScenario(t)
	audited, traced := otlp.NewSink(t, "grpc"), otlp.NewSink(t, "grpc")
	all := strings.Replace(moreSignals, "[", "[0, ", 1)
	collectors := []*collector.Collector{startLive(t, `{netlink: {}`+all, audited), startLive(t, `{ebpf: {}`+all, traced)}
	s.play()
	for _, sink := range []*otlp.Sink{audited, traced} {
		assert.Eventually(t, func() bool { return s.ended(sink.Records()) }, harness.Patience/3, 100*time.Millisecond)
	}
	for _, c := range collectors {
		c.Stop()
	}
	s.compare(s.deeds(audited.Records()), s.deeds(traced.Records()))
}

// compare reports the differences, once for each attribute: one cause usually leads to many.
func (s *scenario) compare(audited, traced map[deed][]otlp.Record) {
	found := make(map[string]*difference)
	compared := 0
	for _, d := range slices.SortedFunc(maps.Keys(audited), byProcesses) {
		if len(audited[d]) != len(traced[d]) {
			s.t.Errorf("%+v: %d times from netlink, %d from ebpf: %s", d, len(audited[d]), len(traced[d]), audited[d][0].Body)
			continue
		}
		for i, a := range audited[d] {
			compared++
			for name, values := range s.differences(d, a, traced[d][i]) {
				if found[name] == nil {
					found[name] = &difference{what: values, in: traced[d][i].Body}
				}
				found[name].count++
			}
		}
	}
	for d := range traced {
		if audited[d] == nil {
			s.t.Errorf("%+v: %d times from ebpf only: %s", d, len(traced[d]), traced[d][0].Body)
		}
	}
	for name, difference := range found {
		s.t.Errorf("%s differs in %d of %d log records, such as %q: %s",
			name, difference.count, compared, difference.in, difference.what)
	}
	s.t.Logf("%d log records compared", compared)
	assert.Greater(s.t, compared, 300)
}

type difference struct {
	count    int
	what, in string
}

func byProcesses(a, b deed) int {
	return cmp.Or(cmp.Compare(a.sender, b.sender), cmp.Compare(a.target, b.target), cmp.Compare(a.signal, b.signal),
		cmp.Compare(a.call, b.call))
}

// differences compares everything that both sources can know about one event.
func (s *scenario) differences(d deed, audited, traced otlp.Record) map[string]string {
	found := make(map[string]string)
	note := func(name string, a, b any) {
		if !reflect.DeepEqual(a, b) {
			found[name] = fmt.Sprintf("%v from netlink, %v from ebpf", a, b)
		}
	}
	if apart := traced.Time.Sub(audited.Time); apart.Abs() > 20*time.Millisecond {
		note("the time", audited.Time, traced.Time)
	}
	if traced.Attributes["kill.delivery"] != nil && traced.Attributes["kill.delivery"] != "delivered" {
		without := strings.ReplaceAll(fmt.Sprint(traced.Attributes["kill.delivery"]), "_", " ")
		if without == "ignored" && traced.Attributes["kill.signal.name"] == "SIGKILL" {
			without = "no effect" // no process can ignore that one
		}
		audited.Body += ": " + without
		audited.Severity = plog.SeverityNumberInfo // because the signal had no effect, which audit cannot know
	}
	if traced.Event == "kill.abend" { // what the crash was is not in audit's record
		traced.Body, _, _ = strings.Cut(traced.Body, ": ")
	}
	if s.brief[d.sender] && audited.Attributes["kill.initiator.pid"] == nil {
		if before, _, found := strings.Cut(traced.Body, ", begun by "); found && strings.HasPrefix(audited.Body, before) {
			traced.Body = audited.Body
		}
	}
	note("the body", audited.Body, traced.Body)
	note("the severity", audited.Severity, traced.Severity)
	names := slices.Collect(maps.Keys(audited.Attributes))
	for name := range traced.Attributes {
		if audited.Attributes[name] == nil {
			names = append(names, name)
		}
	}
	for _, name := range names {
		a := audited.Attributes[name]
		if strings.HasSuffix(name, "user.name") && (a == nil || traced.Attributes[name] == nil) {
			continue // a process that was gone before either collector looked may have had users of its own
		}
		if !slices.Contains(sourceSpecific, name) && (a != nil || !s.unrecorded(d, name)) {
			note(name, a, traced.Attributes[name])
		}
	}
	return found
}

// unrecorded reports whether audit may lack an attribute that ebpf knows.
func (s *scenario) unrecorded(d deed, name string) bool {
	if name == "process.title" {
		return d.sender == d.target && d.signal == int64(unix.SIGKILL) // a dead process has no memory to read it from
	}
	return (s.brief[d.sender] || s.brief[d.target]) && slices.Contains(fromProcessTable, name)
}

// ended reports whether all signals of the last sender have been delivered.
func (s *scenario) ended(records []otlp.Record) bool {
	count := 0
	for _, r := range delivered(records, []*process.Sender{s.last}) {
		if r.Attributes["kill.signal.number"] == int64(unix.SIGKILL) {
			count++
		}
	}
	return count == len(s.last.Want)
}
