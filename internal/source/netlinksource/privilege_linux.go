// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import (
	"errors"
	"fmt"
	"os"

	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/privilege"
)

// need is what an operation takes.
type need struct {
	capability capability.Cap
	// initialPID is true if it works from the initial pid namespace only
	// (kernel/audit.c, audit_netlink_ok).
	initialPID bool
}

var (
	needRead    = need{capability: capability.CAP_AUDIT_READ}
	needControl = need{capability: capability.CAP_AUDIT_CONTROL, initialPID: true}
)

// explain says what the process lacks, and what gives it.
func explain(operation string, needed need, err error) error {
	if err == nil {
		return nil
	}
	if lacking := needed.lacking(); lacking != "" {
		return fmt.Errorf("%s: %w: %s", operation, err, lacking)
	}
	if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("%s: %w: the kernel has no audit system (CONFIG_AUDIT), or it was turned off at boot; "+
			"remove audit=0 from the kernel's command line", operation, err)
	}
	return fmt.Errorf("%s: %w", operation, err)
}

// lacking names what is missing for an operation; empty if nothing is known to
// be.
func (n need) lacking() string {
	if privilege.OtherUserNamespace() {
		return "the collector is not in the initial user namespace, the only one that the kernel's audit system serves; " +
			"with systemd set PrivateUsers=no, in Kubernetes hostUsers: true, with rootless Docker or Podman run as root"
	}
	if n.initialPID && privilege.OtherPIDNamespace() {
		return "the collector is not in the initial pid namespace; in Kubernetes set hostPID: true, " +
			"with Docker --pid=host, with systemd PrivatePIDs=no"
	}
	return privilege.Lacking(n.capability)
}

// errNetwork is returned where multicast would bring nothing.
var errNetwork = errors.New("the collector is not in the initial network namespace, the only one that the kernel sends " +
	"audit records to by multicast; in Kubernetes set hostNetwork: true, with systemd PrivateNetwork=no, " +
	"with Docker --network=host")

// checkNetwork returns an error outside the initial network namespace. Listening
// works there, but nothing is ever sent (kernel/audit.c, audit_log_multicast).
func checkNetwork() error {
	// The number of the initial one differs between kernels, but this setting
	// exists nowhere else (net/core/sysctl_net_core.c, net_core_table).
	_, err := os.Stat("/proc/sys/net/core/dev_weight")
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat("/proc/sys/net/core"); err == nil {
			return errNetwork
		}
	}
	return nil
}
