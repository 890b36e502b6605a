// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package auditcontrol asks and tells the kernel's audit system what auditctl(8)
// does, over go-libaudit.
package auditcontrol
