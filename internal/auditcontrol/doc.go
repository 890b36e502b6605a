// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package auditcontrol reads and changes the state of the kernel's audit system, as
// auditctl(8) does, through go-libaudit.
package auditcontrol
