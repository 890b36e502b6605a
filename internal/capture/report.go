// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package capture

import (
	"sync"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// reportQueue is how many times something can be reported while the handler takes no events: some
// five minutes if somebody keeps removing rules.
const reportQueue = 16

// report delivers what run hands over while it runs. run never waits for the handler, which may be
// stuck: what does not fit into a queue is dropped and counted.
func (c *Capture) report(run func(handle func([]*kill.Event) bool)) {
	waiting := make(chan []*kill.Event, reportQueue)
	var delivering sync.WaitGroup
	delivering.Go(func() {
		for events := range waiting {
			if c.deliver(source.Events(events)) != nil {
				return // shutting down
			}
		}
	})
	run(func(events []*kill.Event) bool {
		select {
		case waiting <- events:
		default:
			c.counts.Lose(source.QueueFull, int64(len(events)))
			c.sampled.Warn("dropped reports of what blinds the monitor: the pipeline does not take them",
				zap.Int("events", len(events)))
		}
		return true
	})
	close(waiting)
	delivering.Wait()
}
