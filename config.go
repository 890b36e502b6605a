// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/redact"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"

	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/filter"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/source/netlinksource"
)

// Config is the configuration of the audit_kill receiver.
type Config struct {
	// File reads the log that auditd writes.
	File configoptional.Optional[FileConfig] `mapstructure:"file"`
	// Netlink listens to the kernel's audit system.
	Netlink configoptional.Optional[NetlinkConfig] `mapstructure:"netlink"`
	// EBPF traces signals in the kernel.
	EBPF configoptional.Optional[EBPFConfig] `mapstructure:"ebpf"`
	// Plugin reads what auditd's af_unix plugin writes to a Unix socket. If no source is set,
	// the receiver chooses one of the three above.
	Plugin configoptional.Optional[PluginConfig] `mapstructure:"plugin"`
	// Rules configures the audit rules that make the kernel record signals.
	Rules RulesConfig `mapstructure:"rules"`
	// RootPath is where the host's root directory is mounted in the collector's container;
	// empty if the collector does not run in one.
	RootPath string `mapstructure:"root_path"`

	// Signals are the signals to report: names with or without SIG, numbers, SIGRTMIN+n.
	Signals []SignalName `mapstructure:"signals"`
	// Targets and Senders are the processes to report; none means all.
	Targets []NameGlob `mapstructure:"targets"`
	Senders []NameGlob `mapstructure:"senders"`
	// ExcludeTargets and ExcludeSenders are the processes not to report.
	ExcludeTargets []NameGlob `mapstructure:"exclude_targets"`
	ExcludeSenders []NameGlob `mapstructure:"exclude_senders"`
	// IncludeFailed also reports signals whose call failed.
	IncludeFailed bool `mapstructure:"include_failed"`
	// CommandLine is how command lines are reported: redacted, program, full or
	// off.
	CommandLine string `mapstructure:"command_line"`
	// IncludeOriginal adds the audit records as log.record.original.
	IncludeOriginal bool `mapstructure:"include_original"`
	// ResourceAttributes says what records tell of the host, and of the service that reports.
	ResourceAttributes metadata.ResourceAttributesConfig `mapstructure:"resource_attributes"`

	Correlation CorrelationConfig `mapstructure:"correlation"`
	// Outcome says whether and how long to watch the targets of fatal signals.
	Outcome OutcomeConfig `mapstructure:"outcome"`
	// Attribution says whether to find out who is behind the signals of managers, such as systemd.
	Attribution AttributionConfig `mapstructure:"attribution"`
	// KernelLog reads kills for lack of memory from the kernel's log. If it is not set, it is true beside netlink and
	// plugin, and beside file if that follows this host's log. Beside ebpf, which sees these kills
	// itself, false keeps it from asking the log which limit was reached.
	KernelLog *bool `mapstructure:"kernel_log"`
	// StorageID names the extension that keeps checkpoints over a restart.
	StorageID *component.ID `mapstructure:"storage"`
	// RetryOnFailure says how to retry when the next consumer refuses data.
	RetryOnFailure configretry.BackOffConfig `mapstructure:"retry_on_failure"`

	_ struct{} // prevent unkeyed literal initialization
}

// FileConfig configures the source file.
type FileConfig struct {
	// Path is the current log file; rotated files are found beside it.
	Path string `mapstructure:"path"`
	// StartAt is end or beginning. Empty means end with Follow, beginning without. A
	// checkpoint takes precedence.
	StartAt string `mapstructure:"start_at"`
	// Follow waits for more at the end of the log.
	Follow bool `mapstructure:"follow"`

	_ struct{} // prevent unkeyed literal initialization
}

// NetlinkConfig configures the source netlink.
type NetlinkConfig struct {
	// Mode is auto, multicast or unicast.
	Mode string `mapstructure:"mode"`
	// ReceiveBuffer is the size of the socket's buffer in bytes.
	ReceiveBuffer int `mapstructure:"receive_buffer"`

	_ struct{} // prevent unkeyed literal initialization
}

// EBPFConfig configures the source ebpf.
type EBPFConfig struct {
	// RingBuffer is the size in bytes of the buffer between the kernel and the collector.
	RingBuffer int `mapstructure:"ring_buffer"`

	_ struct{} // prevent unkeyed literal initialization
}

// PluginConfig says where auditd's af_unix plugin listens.
type PluginConfig struct {
	// Path is the plugin's socket.
	Path string `mapstructure:"path"`

	_ struct{} // prevent unkeyed literal initialization
}

// RulesConfig says whether the receiver loads the audit rules that it needs.
type RulesConfig struct {
	// Manage loads missing rules and removes them at shutdown. If it is not set, it is true
	// for netlink and false for file and plugin; ebpf needs no rules.
	Manage *bool `mapstructure:"manage"`
	// Key marks our rules.
	Key string `mapstructure:"key"`

	_ struct{} // prevent unkeyed literal initialization
}

// CorrelationConfig says how long events wait for their records, and how many may wait.
type CorrelationConfig struct {
	Timeout    time.Duration `mapstructure:"timeout"`
	MaxPending int           `mapstructure:"max_pending"`

	_ struct{} // prevent unkeyed literal initialization
}

// OutcomeConfig says whether to report the outcomes of fatal signals. This needs a live source.
type OutcomeConfig struct {
	Enabled bool `mapstructure:"enabled"`
	// Timeout is how long a process is watched after its first fatal signal.
	Timeout time.Duration `mapstructure:"timeout"`
	// Unsent says which ends are reported of processes to which nobody was seen to send a signal: none,
	// killed (by a signal) or all. If it is not set, killed, and any end of a process that is named in
	// targets, unless its parent is as well.
	Unsent string `mapstructure:"unsent"`

	_ struct{} // prevent unkeyed literal initialization
}

// SignalName is a signal as people write it.
type SignalName string

// NameGlob is a glob on a command name or, with a slash, on the path of a
// program.
type NameGlob string

const (
	keyEBPF    = "ebpf"
	keyFile    = "file"
	keyNetlink = "netlink"
	keyPlugin  = "plugin"

	startAtEnd       = "end"
	startAtBeginning = "beginning"

	// maxPendingLimit keeps the table of pending events within some 100 MB.
	maxPendingLimit = 100_000
	// shortest is the shortest time that makes sense. It refuses 2 without a unit, which would
	// be nanoseconds.
	shortest = time.Millisecond

	// smallestBuffer holds some 30 records, largestBuffer is what the kernel can
	// double in an int (net/core/sock.c, __sock_set_rcvbuf).
	smallestBuffer, largestBuffer = 64 << 10, 1<<30 - 1

	// smallestRing is a page where pages are largest, so that each power of two from
	// there on is a number of whole pages (kernel/bpf/ringbuf.c, ringbuf_map_alloc).
	smallestRing, largestRing = 64 << 10, 1 << 30

	// longestSocket is what fits into sun_path before its NUL (unix(7)).
	longestSocket = 107
)

func createDefaultConfig() component.Config {
	return &Config{
		File:               configoptional.Default(defaultFileConfig()),
		Netlink:            configoptional.Default(defaultNetlinkConfig()),
		EBPF:               configoptional.Default(defaultEBPFConfig()),
		Plugin:             configoptional.Default(defaultPluginConfig()),
		Rules:              RulesConfig{Key: capture.DefaultKey},
		Signals:            defaultSignals(),
		IncludeFailed:      true,
		CommandLine:        string(redact.Redacted),
		ResourceAttributes: metadata.DefaultResourceAttributesConfig(),
		Correlation:        CorrelationConfig{Timeout: correlate.DefaultTimeout, MaxPending: correlate.DefaultMaxPending},
		Outcome:            OutcomeConfig{Enabled: true, Timeout: capture.DefaultOutcomeTimeout},
		Attribution:        AttributionConfig{Enabled: true, Timeout: capture.DefaultAttributionTimeout},
		RetryOnFailure: configretry.BackOffConfig{
			Enabled:             true,
			InitialInterval:     time.Second,
			MaxInterval:         30 * time.Second,
			Multiplier:          1.5,
			RandomizationFactor: 0.5,
		},
	}
}

func defaultFileConfig() FileConfig {
	return FileConfig{Path: capture.DefaultLog, Follow: true}
}

func defaultNetlinkConfig() NetlinkConfig {
	return NetlinkConfig{Mode: string(netlinksource.ModeAuto), ReceiveBuffer: capture.DefaultReceiveBuffer}
}

func defaultEBPFConfig() EBPFConfig { return EBPFConfig{RingBuffer: capture.DefaultRingBuffer} }

func defaultPluginConfig() PluginConfig { return PluginConfig{Path: capture.DefaultSocket} }

func defaultSignals() []SignalName {
	var names []SignalName
	for _, signal := range kill.DefaultSignals() {
		names = append(names, SignalName(signal.Name()))
	}
	return names
}

// Validate checks what no single section can.
func (c *Config) Validate() error {
	problems := c.checkSources()
	if c.RootPath != "" && !strings.HasPrefix(c.RootPath, "/") {
		problems = append(problems, fmt.Sprintf("root_path: %q must be an absolute path, such as /hostfs", c.RootPath))
	}
	if len(c.Signals) == 0 {
		problems = append(problems,
			"signals: must name at least one; leave it out to report those that end, stop or crash a process")
	}
	if !redact.Policy(c.CommandLine).Known() {
		problems = append(problems, fmt.Sprintf("command_line: %q must be redacted, program, full or off", c.CommandLine))
	}
	return refuse(append(problems, checkRetry(c.RetryOnFailure)...))
}

// checkSources refuses more than one source, and settings that do not fit it.
func (c *Config) checkSources() []string {
	var sources, problems []string
	for _, kind := range c.namedSources() {
		sources = append(sources, kind.key)
	}
	if len(sources) > 1 {
		problems = append(problems, strings.Join(sources, ", ")+
			": only one source is possible; use an audit_kill receiver of its own for each")
	}
	unsent := kill.Unsent(c.Outcome.Unsent)
	switch asked := unsent != kill.UnsentUsual && unsent != kill.UnsentNone; {
	case asked && len(sources) > 0 && !c.EBPF.HasValue():
		problems = append(problems, fmt.Sprintf("outcome::unsent: %s is for ebpf, which sees how all processes end; leave it out", unsent))
	case asked && len(c.Senders)+len(c.ExcludeSenders) > 0:
		problems = append(problems, fmt.Sprintf("outcome::unsent: %s cannot be told with senders or exclude_senders, as others may have sent a signal; "+
			"drop records of senders with a filter processor instead", unsent))
	}
	if c.EBPF.HasValue() && c.KernelLog != nil && *c.KernelLog {
		problems = append(problems, "kernel_log: true is for netlink, file and plugin, as ebpf sees these kills itself; leave it out")
	}
	if c.KernelLog != nil && *c.KernelLog && c.File.HasValue() && !c.File.Get().Follow {
		problems = append(problems, "kernel_log: true is for file with follow: true, as the kernel's log tells what happens now; leave it out")
	}
	if c.EBPF.HasValue() && c.Rules.Manage != nil && *c.Rules.Manage {
		problems = append(problems, "rules::manage: true is for netlink, file and plugin, as ebpf needs no audit rules; leave it out")
	}
	return problems
}

// checkRetry refuses values that the collector's own check accepts, but that would make the
// receiver retry without a pause.
func checkRetry(retry configretry.BackOffConfig) []string {
	if !retry.Enabled {
		return nil
	}
	var problems []string
	if retry.InitialInterval >= 0 && retry.InitialInterval < shortest {
		problems = append(problems, fmt.Sprintf("retry_on_failure::initial_interval: %v must be at least %v, such as 1s",
			retry.InitialInterval, shortest))
	}
	if retry.MaxInterval >= 0 && retry.MaxInterval < shortest {
		problems = append(problems, fmt.Sprintf("retry_on_failure::max_interval: %v must be at least %v, such as 30s",
			retry.MaxInterval, shortest))
	}
	if retry.Multiplier >= 0 && retry.Multiplier < 1 {
		problems = append(problems, fmt.Sprintf("retry_on_failure::multiplier: %v must be at least 1, such as 1.5",
			retry.Multiplier))
	}
	return problems
}

// Validate implements confmap.Validator.
func (c *FileConfig) Validate() error {
	var problems []string
	if c.Path == "" {
		problems = append(problems, "path: must name a log file, such as /var/log/audit/audit.log")
	} else if filepath.Base(c.Path) == "." || os.IsPathSeparator(c.Path[len(c.Path)-1]) {
		problems = append(problems, fmt.Sprintf("path: %q is a directory, it must name a log file in it, such as %s",
			c.Path, filepath.Join(c.Path, "audit.log")))
	}
	if strings.ContainsAny(c.Path, "*?[") {
		problems = append(problems, fmt.Sprintf("path: %q must be one log, as its rotated files are found beside it; "+
			"use an audit_kill receiver of its own for each log", c.Path))
	}
	switch c.StartAt {
	case "", startAtEnd, startAtBeginning:
	default:
		problems = append(problems, fmt.Sprintf("start_at: %q must be end or beginning", c.StartAt))
	}
	if c.StartAt == startAtEnd && !c.Follow {
		problems = append(problems, "start_at: end with follow: false would read nothing; use start_at: beginning")
	}
	return refuse(problems)
}

// Validate implements confmap.Validator.
func (c *NetlinkConfig) Validate() error {
	var problems []string
	if !slices.Contains(netlinksource.Modes(), netlinksource.Mode(c.Mode)) {
		problems = append(problems, fmt.Sprintf("mode: %q must be auto, multicast or unicast", c.Mode))
	}
	if c.ReceiveBuffer < smallestBuffer || c.ReceiveBuffer > largestBuffer {
		problems = append(problems, fmt.Sprintf("receive_buffer: %d must be from %d to %d bytes, such as %d",
			c.ReceiveBuffer, smallestBuffer, largestBuffer, capture.DefaultReceiveBuffer))
	}
	return refuse(problems)
}

// Validate implements confmap.Validator.
func (c *EBPFConfig) Validate() error {
	size := c.RingBuffer
	if size < smallestRing || size > largestRing {
		return fmt.Errorf("ring_buffer: %d must be a power of two from %d to %d bytes, such as %d",
			size, smallestRing, largestRing, capture.DefaultRingBuffer)
	}
	if above := 1 << bits.Len(uint(size)); size&(size-1) != 0 {
		return fmt.Errorf("ring_buffer: %d must be a power of two, such as %d or %d", size, above/2, above)
	}
	return nil
}

// Validate implements confmap.Validator.
func (c *PluginConfig) Validate() error {
	switch {
	case c.Path == "":
		return fmt.Errorf("path: must name the socket of auditd's af_unix plugin, such as %s", capture.DefaultSocket)
	case !strings.HasPrefix(c.Path, "/"):
		return fmt.Errorf("path: %q must be an absolute path, such as %s", c.Path, capture.DefaultSocket)
	case len(c.Path) > longestSocket:
		return fmt.Errorf("path: %q must have at most %d bytes, as the path of a Unix socket", c.Path, longestSocket)
	}
	return nil
}

// Validate implements confmap.Validator.
func (c *RulesConfig) Validate() error {
	if err := auditrules.CheckKey(c.Key); err != nil {
		return fmt.Errorf("key: %w", err)
	}
	return nil
}

// fromBeginning reports whether to read from the beginning, also if StartAt is empty.
func (c *FileConfig) fromBeginning() bool {
	return c.StartAt == startAtBeginning || c.StartAt == "" && !c.Follow
}

// Validate implements confmap.Validator.
func (c *CorrelationConfig) Validate() error {
	var problems []string
	if c.Timeout < shortest {
		problems = append(problems, fmt.Sprintf("timeout: %v must be at least %v, such as 2s", c.Timeout, shortest))
	}
	if c.MaxPending < 1 || c.MaxPending > maxPendingLimit {
		problems = append(problems, fmt.Sprintf("max_pending: %d must be from 1 to %d", c.MaxPending, maxPendingLimit))
	}
	return refuse(problems)
}

// Validate implements confmap.Validator.
func (c *OutcomeConfig) Validate() error {
	if c.Enabled && c.Timeout < shortest {
		return fmt.Errorf("timeout: %v must be at least %v, such as 2m", c.Timeout, shortest)
	}
	switch kill.Unsent(c.Unsent) {
	case kill.UnsentUsual, kill.UnsentNone, kill.UnsentKilled, kill.UnsentAll:
		return nil
	}
	return fmt.Errorf("unsent: %q must be none, killed or all", c.Unsent)
}

// refuse joins all problems of a section in one line, because the collector writes the
// section's path only before the first line.
func refuse(problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	return errors.New(strings.Join(problems, "; "))
}

// noSignal says what to write instead of all, which is many.
const noSignal = "is no signal: list those that you want, by name or by number from 1 to 64"

func meansAll(signal string) bool { return strings.EqualFold(signal, "all") }

// Validate implements confmap.Validator.
func (s SignalName) Validate() error {
	if meansAll(string(s)) {
		return fmt.Errorf("%q %s", string(s), noSignal)
	}
	_, err := kill.ParseSignal(string(s))
	return err
}

// Validate implements confmap.Validator.
func (g NameGlob) Validate() error { return filter.Check(string(g)) }
