// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/configoptional"
	"go.opentelemetry.io/collector/config/configretry"

	"github.com/auditkill/auditkillreceiver/internal/filter"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/telemetry"
)

// Config is the configuration of the audit_kill receiver.
type Config struct {
	// File reads the log that auditd writes.
	File configoptional.Optional[FileConfig] `mapstructure:"file"`

	// Signals are those to report: names with or without SIG, numbers,
	// SIGRTMIN+n.
	Signals []SignalName `mapstructure:"signals"`
	// Targets and Senders are the processes to report; none means all.
	Targets []NameGlob `mapstructure:"targets"`
	Senders []NameGlob `mapstructure:"senders"`
	// IncludeFailed also reports signals that were not delivered.
	IncludeFailed bool `mapstructure:"include_failed"`
	// CommandLine is how the sender's command line is reported: redacted, full
	// or off.
	CommandLine string `mapstructure:"command_line"`
	// IncludeOriginal adds the records themselves as log.record.original.
	IncludeOriginal bool `mapstructure:"include_original"`

	Correlation CorrelationConfig `mapstructure:"correlation"`
	// StorageID names the extension that keeps checkpoints over a restart.
	StorageID *component.ID `mapstructure:"storage"`
	// RetryOnFailure says how to go on when the next consumer refuses data.
	RetryOnFailure configretry.BackOffConfig `mapstructure:"retry_on_failure"`

	_ struct{} // prevent unkeyed literal initialization
}

// FileConfig says which audit log to read.
type FileConfig struct {
	// Path is the live log; files rotated away are found beside it.
	Path string `mapstructure:"path"`
	// StartAt is end or beginning; empty means end for a log that is followed
	// and beginning for one that is not. A checkpoint goes before it.
	StartAt string `mapstructure:"start_at"`
	// Follow waits for more at the end of the log.
	Follow bool `mapstructure:"follow"`

	_ struct{} // prevent unkeyed literal initialization
}

// CorrelationConfig says how long and for how many events to wait for records.
type CorrelationConfig struct {
	Timeout    time.Duration `mapstructure:"timeout"`
	MaxPending int           `mapstructure:"max_pending"`

	_ struct{} // prevent unkeyed literal initialization
}

// SignalName is a signal as people write it.
type SignalName string

// NameGlob is a glob on a command name or, with a slash, on the path of a
// program.
type NameGlob string

const (
	startAtEnd       = "end"
	startAtBeginning = "beginning"

	// maxPendingLimit keeps the table of pending events within some 100 MB.
	maxPendingLimit = 100_000
)

func createDefaultConfig() component.Config {
	return &Config{
		File:          configoptional.Default(defaultFileConfig()),
		Signals:       defaultSignals(),
		IncludeFailed: true,
		CommandLine:   string(telemetry.CommandLineRedacted),
		Correlation:   CorrelationConfig{Timeout: 2 * time.Second, MaxPending: 8192},
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
	return FileConfig{Path: "/var/log/audit/audit.log", Follow: true}
}

func defaultSignals() []SignalName {
	var names []SignalName
	for _, signal := range kill.DefaultSignals() {
		names = append(names, SignalName(signal.Name()))
	}
	return names
}

// Validate checks what concerns the configuration as a whole.
func (c *Config) Validate() error {
	var errs []error
	if len(c.Signals) == 0 {
		errs = append(errs, errors.New("signals: must name at least one; leave it out for those that end, stop or crash a process"))
	}
	switch telemetry.CommandLine(c.CommandLine) {
	case telemetry.CommandLineRedacted, telemetry.CommandLineFull, telemetry.CommandLineOff:
	default:
		errs = append(errs, fmt.Errorf("command_line: %q must be redacted, full or off", c.CommandLine))
	}
	if c.RetryOnFailure.Enabled && c.RetryOnFailure.InitialInterval <= 0 {
		errs = append(errs, errors.New("retry_on_failure::initial_interval: must be more than 0, such as 1s"))
	}
	return errors.Join(errs...)
}

// Validate implements confmap.Validator.
func (c *FileConfig) Validate() error {
	var errs []error
	if c.Path == "" {
		errs = append(errs, errors.New("path: must name a log file, such as /var/log/audit/audit.log"))
	} else if filepath.Base(c.Path) == "." || c.Path[len(c.Path)-1] == filepath.Separator {
		errs = append(errs, fmt.Errorf("path: %q is a directory, it must name a log file", c.Path))
	}
	switch c.StartAt {
	case "", startAtEnd, startAtBeginning:
	default:
		errs = append(errs, fmt.Errorf("start_at: %q must be end or beginning", c.StartAt))
	}
	if c.StartAt == startAtEnd && !c.Follow {
		errs = append(errs, errors.New("start_at: end with follow: false would read nothing; use start_at: beginning"))
	}
	return errors.Join(errs...)
}

// fromBeginning resolves what an empty StartAt means.
func (c *FileConfig) fromBeginning() bool {
	return c.StartAt == startAtBeginning || c.StartAt == "" && !c.Follow
}

// Validate implements confmap.Validator.
func (c *CorrelationConfig) Validate() error {
	var errs []error
	if c.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("timeout: %v must be more than 0, such as 2s", c.Timeout))
	}
	if c.MaxPending < 1 || c.MaxPending > maxPendingLimit {
		errs = append(errs, fmt.Errorf("max_pending: %d must be from 1 to %d", c.MaxPending, maxPendingLimit))
	}
	return errors.Join(errs...)
}

// Validate implements confmap.Validator.
func (s SignalName) Validate() error {
	_, err := kill.ParseSignal(string(s))
	return err
}

// Validate implements confmap.Validator.
func (g NameGlob) Validate() error { return filter.Check(string(g)) }
