// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package privilege

import (
	"fmt"
	"os"
	"strings"

	"github.com/moby/sys/capability"
)

// The numbers of the initial namespaces (include/uapi/linux/nsfs.h; before 6.18
// include/linux/proc_ns.h).
const (
	initialUser = "user:[4026531837]"
	initialPID  = "pid:[4026531836]"
)

// Has reports whether the collector has a capability.
func Has(c capability.Cap) (bool, error) {
	own, err := capability.NewPid2(0)
	if err != nil {
		return false, err
	}
	if err := own.Load(); err != nil {
		return false, err
	}
	return own.Get(capability.EFFECTIVE, c), nil
}

// Lacking says how to give the collector those of the capabilities that it lacks;
// empty if it lacks none, or if it is not known.
func Lacking(needed ...capability.Cap) string {
	var lacking, long []string
	for _, c := range needed {
		if has, err := Has(c); err == nil && !has {
			name := strings.ToUpper(c.String())
			lacking, long = append(lacking, name), append(long, "CAP_"+name)
		}
	}
	if len(lacking) == 0 {
		return ""
	}
	return fmt.Sprintf("the collector lacks %s; with systemd set AmbientCapabilities=%s "+
		"(and add it to CapabilityBoundingSet=), in Kubernetes securityContext.capabilities.add: [%s] "+
		"and runAsUser: 0, with Docker --cap-add %s", strings.Join(long, " and "), strings.Join(long, " "),
		strings.Join(lacking, ", "), strings.Join(lacking, " --cap-add "))
}

// OtherUserNamespace reports whether the collector is known not to be in the initial
// user namespace.
func OtherUserNamespace() bool {
	in := Namespace("user")
	return in != "" && in != initialUser
}

// OtherPIDNamespace reports whether the collector is known not to be in the initial
// pid namespace.
func OtherPIDNamespace() bool {
	in := Namespace("pid")
	return in != "" && in != initialPID
}

// InitialPIDNamespace reports whether the collector is known to be in the initial pid
// namespace, so that it bears the pid that the kernel names.
func InitialPIDNamespace() bool { return Namespace("pid") == initialPID }

// Namespace returns a name such as "pid:[4026531836]"; empty if it is not known.
func Namespace(kind string) string {
	name, err := os.Readlink("/proc/self/ns/" + kind)
	if err != nil {
		return ""
	}
	return name
}
