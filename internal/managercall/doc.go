// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package managercall finds out what a process asks a manager for, from the beginning of what it sends: a
// method call of D-Bus, of Varlink, of Docker's API or of supervisord. The bytes are foreign, and may be cut.
//
// The names of the calls are those of org.freedesktop.systemd1.Manager(5), org.freedesktop.login1.Manager(5)
// and org.freedesktop.machine1.Manager(5), also where an object itself is called: Stop of a unit is StopUnit
// here. The others are StopContainer, KillContainer, RestartContainer, RemoveContainer, StopPod, KillPod,
// RestartPod, RemovePod, and those of supervisord as it has them, such as supervisor.stopProcess.
package managercall
