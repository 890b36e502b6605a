// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package panics keeps a bug from ending the program: input that makes it panic costs no more
// than the one event that it belongs to.
package panics

import (
	"fmt"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/logsampling"
)

// Guard recovers from panics, counts them, and logs each kind once in a while. A nil Guard
// does not recover.
type Guard struct {
	logger *zap.Logger
	count  atomic.Int64
}

// NewGuard returns a Guard that has seen no panic yet.
func NewGuard(logger *zap.Logger) *Guard { return &Guard{logger: logsampling.New(logger)} }

// Contain recovers from a panic. Defer it in a function that works on one event, and say what
// that does: "converting an event".
func (g *Guard) Contain(doing string) {
	if g == nil {
		return
	}
	reason := recover()
	if reason == nil {
		return
	}
	g.count.Add(1)
	g.logger.Error("an event was lost because this program panicked while "+doing+"; please report it",
		zap.String("panic", fmt.Sprint(reason)), zap.StackSkip("stack", 2))
}

// Count returns from how many panics the Guard has recovered.
func (g *Guard) Count() int64 { return g.count.Load() }
