// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package killincident

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"

	"github.com/auditkill/auditkillreceiver/internal/incident"
	"github.com/auditkill/auditkillreceiver/internal/settings"
)

// Config is the configuration of the connector.
type Config struct {
	// Gap closes an incident when nothing has joined it for so long.
	Gap time.Duration `mapstructure:"gap"`
	// MaxDuration is the longest time from the first member of an incident to the last one.
	MaxDuration time.Duration `mapstructure:"max_duration"`
	// Delay is how long records are held back, so that they are joined in the order of their own time.
	Delay time.Duration `mapstructure:"delay"`
	// MinTargets is how many processes make an incident.
	MinTargets int `mapstructure:"min_targets"`
	// Interval is how often an open incident is reported again if it has grown, and how often metrics are sent.
	Interval time.Duration `mapstructure:"interval"`
	// MaxOpen is how many incidents are remembered at a time.
	MaxOpen int `mapstructure:"max_open"`
	// MaxMembers is how many processes of one incident are told apart.
	MaxMembers int `mapstructure:"max_members"`
	// Members says what becomes of what comes: none goes on, or incidents replace signals and outcomes, or all pass.
	Members string `mapstructure:"members"`
	// StorageID names the extension that keeps open incidents over a restart.
	StorageID *component.ID `mapstructure:"storage"`

	_ struct{} // prevent unkeyed literal initialization
}

const (
	membersNone    = "none"
	membersReplace = "replace"
	membersPass    = "pass"

	defaultGap      = 30 * time.Second
	defaultInterval = 10 * time.Second
	// most bounds max_open and max_members, so that a slip of the finger does not take all memory.
	most = 1_000_000
)

func createDefaultConfig() component.Config {
	return &Config{
		Gap: defaultGap, MaxDuration: 30 * time.Minute, MinTargets: 2, Interval: defaultInterval,
		MaxOpen: 10_000, MaxMembers: 10_000, Members: membersNone,
	}
}

// Unmarshal implements confmap.Unmarshaler. Its errors say what would be right where the collector's only say what is wrong.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	present, section := conf.ToStringMap(), reflect.TypeFor[Config]()
	if err := errors.Join(settings.Check("", present, section)...); err != nil {
		return err
	}
	err := conf.Unmarshal(c)
	if err != nil {
		if said := errors.Join(settings.Refused("", present, section)...); said != nil {
			return said
		}
	}
	return err
}

// Validate implements xconfmap.Validator.
func (c *Config) Validate() error {
	var errs []error
	for _, d := range []struct {
		key            string
		value, example time.Duration
	}{{"gap", c.Gap, defaultGap}, {"interval", c.Interval, defaultInterval}} {
		if d.value < time.Millisecond {
			errs = append(errs, fmt.Errorf("%s: %v must be at least 1ms, such as %v", d.key, d.value, d.example))
		}
	}
	if c.Delay < 0 {
		errs = append(errs, fmt.Errorf("delay: %v must not be negative; 0 joins records as they come", c.Delay))
	}
	if c.MaxDuration < c.Gap {
		errs = append(errs, fmt.Errorf("max_duration: %v must be at least gap, which is %v", c.MaxDuration, c.Gap))
	}
	for _, n := range []struct {
		key           string
		value, lowest int
	}{{"min_targets", c.MinTargets, 1}, {"max_open", c.MaxOpen, 1}, {"max_members", c.MaxMembers, c.MinTargets}} {
		if n.value < n.lowest || n.value > most {
			errs = append(errs, fmt.Errorf("%s: %d must be from %d to %d", n.key, n.value, max(n.lowest, 1), most))
		}
	}
	if all := []string{membersNone, membersReplace, membersPass}; !slices.Contains(all, c.Members) {
		errs = append(errs, fmt.Errorf("members: %q must be none, replace or pass", c.Members))
	}
	return errors.Join(errs...)
}

// table returns the configuration of the table of a connector with a name.
func (c *Config) table(name string) incident.Config {
	return incident.Config{
		Scope: name, Gap: c.Gap, MaxDuration: c.MaxDuration, Interval: c.Interval, Delay: c.Delay, MinTargets: c.MinTargets, MaxOpen: c.MaxOpen,
		MaxMembers: c.MaxMembers, Persistent: c.StorageID != nil,
	}
}
