// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"github.com/auditkill/auditkillreceiver/internal/capture"
	"github.com/auditkill/auditkillreceiver/internal/source/netlinksource"
)

// namesSource reports whether the configuration names a source.
func (c *Config) namesSource() bool {
	return c.EBPF.HasValue() || c.Netlink.HasValue() || c.File.HasValue()
}

// candidates returns the source that the configuration names, or all sources if it names none.
// The first that can be opened is used.
func (c *Config) candidates() []capture.Candidate {
	switch {
	case c.EBPF.HasValue():
		return []capture.Candidate{c.ebpf(*c.EBPF.Get())}
	case c.Netlink.HasValue():
		return []capture.Candidate{c.netlink(*c.Netlink.Get())}
	case c.File.HasValue():
		return []capture.Candidate{c.file(*c.File.Get())}
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

// managesRules reports whether the receiver loads audit rules.
func (c *Config) managesRules(byDefault bool) bool {
	if c.Rules.Manage != nil {
		return *c.Rules.Manage
	}
	return byDefault
}
