// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"github.com/elastic/go-libaudit/v2"

	"github.com/auditkill/auditkillreceiver/internal/auditcontrol"
)

// Kernel is the part of auditcontrol.Client that rules need.
type Kernel interface {
	GetStatus() (*libaudit.AuditStatus, error)
	SetEnabled(enabled bool, mode libaudit.WaitMode) error
	GetRules() ([][]byte, error)
	AddRule(rule []byte) error
	DeleteRule(rule []byte) error
}

var _ Kernel = auditcontrol.Client{}
