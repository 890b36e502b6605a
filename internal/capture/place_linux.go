// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"context"
	"encoding/json"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/oomwatch"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// placeKey is the key under which the store keeps up to where the kernel's log was reported.
const placeKey = "kernel_log"

// loadPlace returns where an earlier run has ended to read the kernel's log; nil if nothing is kept.
func (c *Capture) loadPlace(ctx context.Context) *oomwatch.Place {
	if c.settings.Store == nil {
		return nil
	}
	place := &oomwatch.Place{}
	data, err := c.settings.Store.Get(ctx, placeKey)
	if err == nil && data != nil {
		err = json.Unmarshal(data, place)
	}
	if err != nil {
		c.settings.Logger.Error("kills for lack of memory since the last run will not be reported: its place in the kernel's log is not known",
			zap.String("key", placeKey), zap.Error(err))
		return &oomwatch.Place{}
	}
	return place
}

// savePlace stores the place in the kernel's log, once all before it has been delivered. Until then an older one
// stays: what is reported again has the same uid. empty reports whether no kills wait to be delivered; the place is asked
// for before, so that none of them is beyond.
func (c *Capture) savePlace(empty func() bool) {
	if c.settings.Store == nil || c.memory == nil {
		return
	}
	place := c.memory.Place()
	if place == nil || place == c.savedPlace || !empty() || !c.deliveredMemory() {
		return
	}
	data, err := json.Marshal(place)
	if err == nil {
		err = c.settings.Store.Set(c.lasting, placeKey, data)
	}
	if err != nil {
		c.sampled.Warn("the place in the kernel's log could not be stored, after a restart kills may be reported again",
			zap.String("key", placeKey), zap.Error(err))
		return
	}
	c.savedPlace = place
}

// deliveredMemory reports whether all kills that the kernel's log has told of were delivered, after the queue was
// emptied.
func (c *Capture) deliveredMemory() bool {
	c.busy.Lock()
	defer c.busy.Unlock()
	return !c.refused && !c.behind.holds(func(o source.Observation) bool { return o.Event != nil && o.Event.Source == oomwatch.Source }) &&
		c.handler.Settled()
}
