// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package panics keeps a fault in the work on one event from ending the program: foreign
// input may find a mistake of ours, but costs no more than the event in which it is.
package panics

import (
	"fmt"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/logsampling"
)

// Guard contains panics, counts them and logs each kind once in a while. A nil Guard
// contains nothing.
type Guard struct {
	logger *zap.Logger
	count  atomic.Int64
}

// NewGuard returns a Guard that has seen no panic yet.
func NewGuard(logger *zap.Logger) *Guard { return &Guard{logger: logsampling.New(logger)} }

// Contain recovers from a panic. It is to be deferred by a function that works on one event,
// and takes what that does: "converting an event".
func (g *Guard) Contain(doing string) {
	if g == nil {
		return
	}
	reason := recover()
	if reason == nil {
		return
	}
	g.count.Add(1)
	g.logger.Error("a fault of this program while "+doing+" has cost that event; please report it",
		zap.String("panic", fmt.Sprint(reason)), zap.StackSkip("stack", 2))
}

// Count returns how many panics were contained.
func (g *Guard) Count() int64 { return g.count.Load() }
