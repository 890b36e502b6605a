// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import "strings"

// words replaces all of pairs.
var words = strings.NewReplacer(pairs...)

// pairs put flags in the place of the receiver's configuration, where its parts name it
// to say what mends something. Of those that begin at the same place the first one counts,
// and what was put in is not looked at again.
var pairs = []string{
	"until the collector is restarted", "until it is started again",
	"the collector's seccomp profile", "the seccomp profile",
	"the collector", "auditkill",
	"a collector", "auditkill",
	"with netlink::mode auto the collector would make room for it", "auditkill makes room for it without --source unicast",
	"start auditd, or use netlink::mode auto or unicast", "start auditd, or use --source unicast",
	"netlink::mode unicast: ", "",
	"use mode multicast, which listens", "use --source multicast, which listens",
	"or use netlink", "or use --source multicast",
	": raise netlink::receive_buffer", "; ask for fewer with --signal",
	": raise ebpf::ring_buffer", "; ask for fewer with --signal or --target",
	"smaller than receive_buffer", "smaller than wanted",
	"a shorter outcome::timeout, or targets, makes them fewer", "a shorter --outcome-timeout, or --target, makes them fewer",
	"file::path must name", "--file must name",
	"set rules::manage to false and load them as root", "load them as root",
	"set rules::manage to false and load rules as root", "load rules as root",
	", or set rules::manage to false", ", or use --source ebpf",
	"or mount the host's / and name it in root_path", "or on the host itself",
	"the pipeline does not take them as fast as signals are sent", "they are not printed as fast as signals are sent",
}
