// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"errors"
	"fmt"
	"strings"

	"github.com/moby/sys/capability"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

// words is the vocabulary of the receiver: the keys of its configuration.
type words struct{}

var _ problem.Vocabulary = words{}

// Advise implements problem.Vocabulary.
func (words) Advise(advice problem.Advice) string {
	switch advice {
	case problem.UseFile:
		return "use file"
	case problem.UseNetlink:
		return "use netlink"
	case problem.UseMulticast:
		return "use netlink::mode multicast, which listens beside it"
	case problem.UseDaemonsPlace:
		return "use netlink::mode auto or unicast"
	case problem.YieldToDaemon:
		return "with netlink::mode auto the collector would make room for it"
	case problem.RaiseReceiveBuffer:
		return "raise netlink::receive_buffer"
	case problem.RaiseRingBuffer:
		return "raise ebpf::ring_buffer"
	case problem.WatchFewer:
		return "set a shorter outcome::timeout, or name targets"
	case problem.LoadRulesByHand:
		return "set rules::manage to false and load them as root"
	case problem.LeaveRules:
		return "set rules::manage to false"
	case problem.MountRoot:
		return "mount the host's / and name it in root_path"
	case problem.NameLogFile:
		return "set file::path to the log file, such as " + capture.DefaultLog
	}
	return ""
}

// Lack implements problem.Vocabulary.
func (words) Lack(lacking []capability.Cap) string {
	var short []string
	for _, c := range lacking {
		short = append(short, strings.ToUpper(c.String()))
	}
	return fmt.Sprintf("the collector lacks %s; with systemd set AmbientCapabilities=%s "+
		"(and add it to CapabilityBoundingSet=), in Kubernetes securityContext.capabilities.add: [%s] "+
		"and runAsUser: 0, with Docker --cap-add %s", problem.Names(lacking),
		strings.ReplaceAll(problem.Names(lacking), " and ", " "), strings.Join(short, ", "), strings.Join(short, " --cap-add "))
}

// worded is an error in the words of the configuration.
type worded struct{ error }

// Error implements error.
func (w worded) Error() string { return problem.Text(w.error, words{}) }

// Unwrap returns the original error.
func (w worded) Unwrap() error { return w.error }

// warn logs a problem, the same one only once in a while: the metrics have the sums of losses.
func (r *killReceiver) warn(p *problem.Problem) {
	var fields []zap.Field
	if fix := p.Remedy(words{}); fix != "" {
		fields = append(fields, zap.String("fix", fix))
	}
	for _, detail := range p.Details {
		fields = append(fields, zap.Any(detail.Name, detail.Value))
	}
	if len(p.Lines) > 0 {
		fields = append(fields, zap.Strings("lines", p.Lines))
	}
	if len(p.Lacking) > 0 {
		fields = append(fields, zap.String("lacking", words{}.Lack(p.Lacking)))
	}
	if p.Err != nil {
		fields = append(fields, zap.Error(worded{p.Err}))
	}
	r.sampled.Warn(p.What, fields...)
}

// logChoice logs which source was chosen, and why those before it were not.
func (r *killReceiver) logChoice(chosen string, refusals []capture.Refusal) {
	level, what := zapcore.InfoLevel, ""
	var fields []zap.Field
	switch chosen {
	case keyEBPF:
		what = "tracing signals in the kernel because no source is configured and eBPF is possible"
	case keyNetlink:
		what = "listening to the kernel because no source is configured and eBPF is not possible"
	case keyFile:
		level, what = zapcore.WarnLevel, "reading the audit log because no source is configured and the kernel is out of reach; "+
			"it has signals only if audit rules record them (see deploy/audit_kill.rules)"
		fields = append(fields, zap.String("path", capture.DefaultLog))
	}
	for _, refusal := range refusals {
		fields = append(fields, zap.NamedError(refusal.Name, worded{refusal.Err}))
		if refusal.Cleanup != nil {
			r.set.Logger.Error("cannot clean up after the attempt to open a source",
				zap.String("source", refusal.Name), zap.Error(worded{refusal.Cleanup}))
		}
	}
	r.set.Logger.Log(level, what, fields...)
}

// refused words why no source can be opened. If the configuration names none, the error is that
// of the last candidate, and the log has those of the others.
func (r *killReceiver) refused(err error) error {
	var refused *capture.RefusedError
	if !errors.As(err, &refused) {
		return worded{err}
	}
	last := refused.Refusals[len(refused.Refusals)-1]
	if len(refused.Refusals) > 1 {
		r.logChoice(last.Name, refused.Refusals[:len(refused.Refusals)-1])
	}
	return worded{errors.Join(last.Err, last.Cleanup)}
}
