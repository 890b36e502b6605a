// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build !linux

package process

import (
	"errors"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

const leafLinks = 2

// proc knows nothing: only Linux is supported.
type proc struct{ err error }

func newProc(string) *proc { return &proc{err: errors.ErrUnsupported} }

func (p *proc) pids() ([]int, error)       { return nil, p.err }
func (*proc) births() (cursor, births int) { return 0, 0 }
func (*proc) hierarchies() map[string]int  { return nil }
func (*proc) processOf(pid int) int        { return pid }
func (*proc) open(int) (folder, bool)      { return folder{}, false }

func (*proc) hides(int) bool { return true }

type folder struct{}

func (folder) close()                      {}
func (folder) stat() (procstat.Stat, bool) { return procstat.Stat{}, false }
func (folder) executable() string          { return "" }
func (folder) commandLine() string         { return "" }
func (folder) cgroups() []byte             { return nil }
func (folder) owner() owner                { return owner{} }
func (folder) hasThread(string) bool       { return false }
func (folder) mayBecome(_, _ uint32) bool  { return false }

func (folder) pids() kill.Whose { return kill.WhoseUnknown }

// vantage is nothing without Linux.
type vantage struct{}

func newVantage(string) vantage { return vantage{} }

func (*homes) look(_ *proc, _ folder, _ string, _, _ time.Duration) (home, bool) {
	return home{}, false
}

func inodeOf(string) (inode, links uint64, ok bool) { return 0, 0, false }
func foldersIn(string) []string                     { return nil }
