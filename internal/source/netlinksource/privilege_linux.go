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
	"github.com/auditkill/auditkillreceiver/internal/problem"
)

// need is what an operation requires.
type need struct {
	capability capability.Cap
	// initialPID is true if the operation works only from the initial pid namespace
	// (kernel/audit.c, audit_netlink_ok).
	initialPID bool
}

var (
	needRead    = need{capability: capability.CAP_AUDIT_READ}
	needControl = need{capability: capability.CAP_AUDIT_CONTROL, initialPID: true}
)

// explain returns err with what the process lacks for an operation and what grants that;
// nil if err is nil.
func explain(operation string, needed need, err error) error {
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s: %w", operation, err)
	switch {
	case privilege.OtherUserNamespace():
		p := privilege.NotInitialUserNamespace(err)
		p.Err = fmt.Errorf("%w, the only one that the kernel's audit system serves", p.Err)
		return p
	case needed.initialPID && privilege.OtherPIDNamespace():
		return &problem.Problem{
			Err: fmt.Errorf("%w: this process is not in the initial pid namespace", err),
			Fix: "in Kubernetes set hostPID: true, with Docker --pid=host, with systemd PrivatePIDs=no",
		}
	}
	if lacking := privilege.Lacking(needed.capability); len(lacking) > 0 {
		return &problem.Problem{Err: err, Lacking: lacking}
	}
	if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.ECONNREFUSED) {
		return &problem.Problem{
			Err: fmt.Errorf("%w: the kernel has no audit system (CONFIG_AUDIT), or it was turned off at boot", err),
			Fix: "remove audit=0 from the kernel's command line",
		}
	}
	return err
}

// errNetwork is returned where multicast would deliver nothing.
var errNetwork = &problem.Problem{
	What: "this process is not in the initial network namespace, the only one that the kernel sends audit records to by multicast",
	Fix:  "in Kubernetes set hostNetwork: true, with systemd PrivateNetwork=no, with Docker --network=host",
}

// checkNetwork returns an error outside the initial network namespace. Listening
// works there, but nothing is ever sent (kernel/audit.c, audit_log_multicast).
func checkNetwork() error {
	// The inode of the initial namespace differs between kernels, but this setting exists
	// nowhere else (net/core/sysctl_net_core.c, net_core_table).
	_, err := os.Stat("/proc/sys/net/core/dev_weight")
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Stat("/proc/sys/net/core"); err == nil {
			return errNetwork
		}
	}
	return nil
}
