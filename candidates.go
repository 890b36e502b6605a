// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"reflect"

	"go.opentelemetry.io/collector/config/configoptional"

	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/source/netlinksource"
)

// sourceKind is a kind of source as the configuration knows it.
type sourceKind struct {
	// key is that of its section, and section what the section holds.
	key     string
	section reflect.Type
	// onlyLinux is true if it reads from the kernel or an audit daemon of this host.
	onlyLinux bool
	// named reports whether a configuration names the source; only then candidate returns it.
	named     func(*Config) bool
	candidate func(*Config) capture.Candidate
}

// sourceKinds returns all kinds of sources, by key.
func sourceKinds() []sourceKind {
	return []sourceKind{
		kindOf(keyEBPF, true, func(c *Config) *configoptional.Optional[EBPFConfig] { return &c.EBPF }, (*Config).ebpf),
		kindOf(keyFile, false, func(c *Config) *configoptional.Optional[FileConfig] { return &c.File }, (*Config).file),
		kindOf(keyNetlink, true, func(c *Config) *configoptional.Optional[NetlinkConfig] { return &c.Netlink }, (*Config).netlink),
		kindOf(keyPlugin, true, func(c *Config) *configoptional.Optional[PluginConfig] { return &c.Plugin }, (*Config).plugin),
	}
}

func kindOf[T any](
	key string, onlyLinux bool, section func(*Config) *configoptional.Optional[T], candidate func(*Config, T) capture.Candidate,
) sourceKind {
	return sourceKind{
		key: key, section: reflect.TypeFor[T](), onlyLinux: onlyLinux,
		named:     func(c *Config) bool { return section(c).HasValue() },
		candidate: func(c *Config) capture.Candidate { return candidate(c, *section(c).Get()) },
	}
}

// namedSources returns the sources that the configuration names.
func (c *Config) namedSources() []sourceKind {
	var named []sourceKind
	for _, kind := range sourceKinds() {
		if kind.named(c) {
			named = append(named, kind)
		}
	}
	return named
}

// namesSource reports whether the configuration names a source.
func (c *Config) namesSource() bool { return len(c.namedSources()) > 0 }

// candidates returns the source that the configuration names, or all sources if it names none.
// The first that can be opened is used.
func (c *Config) candidates() []capture.Candidate {
	if named := c.namedSources(); len(named) > 0 {
		return []capture.Candidate{named[0].candidate(c)}
	}
	return []capture.Candidate{c.ebpf(defaultEBPFConfig()), c.netlink(defaultNetlinkConfig()), c.file(defaultFileConfig())}
}

func (*Config) ebpf(e EBPFConfig) capture.Candidate {
	return capture.EBPF{RingBuffer: e.RingBuffer}.Candidate(keyEBPF)
}

func (c *Config) netlink(n NetlinkConfig) capture.Candidate {
	candidate := capture.Netlink{Mode: netlinksource.Mode(n.Mode), ReceiveBuffer: n.ReceiveBuffer}.Candidate(keyNetlink)
	candidate.Key, candidate.ManageRules = c.Rules.Key, c.managesRules(true)
	return candidate
}

func (c *Config) file(f FileConfig) capture.Candidate {
	candidate := capture.File{Path: f.Path, FromBeginning: f.fromBeginning(), Follow: f.Follow}.Candidate(keyFile)
	candidate.Key, candidate.ManageRules = c.Rules.Key, c.managesRules(false)
	return candidate
}

func (c *Config) plugin(p PluginConfig) capture.Candidate {
	candidate := capture.Plugin{Path: p.Path}.Candidate(keyPlugin)
	candidate.Key, candidate.ManageRules = c.Rules.Key, c.managesRules(false)
	return candidate
}

// managesRules reports whether the receiver loads audit rules.
func (c *Config) managesRules(byDefault bool) bool {
	if c.Rules.Manage != nil {
		return *c.Rules.Manage
	}
	return byDefault
}
