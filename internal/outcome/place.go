// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"container/list"
	"time"
)

// move puts an episode at the end of a queue.
func (e *episode) move(to *list.List, due time.Time) {
	e.leave()
	e.queue, e.due = to, due
	e.place = to.PushBack(e)
}

func (e *episode) leave() {
	if e.queue != nil {
		e.queue.Remove(e.place)
		e.queue = nil
	}
}

// head returns the first episode of a queue; nil if there is none.
func head(queue *list.List) *episode {
	if queue.Len() == 0 {
		return nil
	}
	return queue.Front().Value.(*episode)
}
