// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package faulty is a backend that refuses, hangs, breaks off or answers nonsense, as a test tells
// it to. It knows each record by its serial number in the audit system: what was promised has to
// arrive, and what comes twice has to be the same.
package faulty

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Backend speaks OTLP over HTTP, and Elasticsearch's bulk requests.
type Backend struct {
	Server *httptest.Server
	// released is closed for those that hang, at the end.
	released chan struct{}

	mutex    sync.Mutex
	behave   Behavior // nil if it is well
	requests int
	taken    map[int]string
	changed  []int // serials that came with another uid than before
}

// New returns a backend that is well until Behaves is called.
func New(t *testing.T) *Backend {
	t.Helper()
	b := &Backend{released: make(chan struct{}), taken: make(map[int]string)}
	b.Server = httptest.NewServer(http.HandlerFunc(b.serve))
	t.Cleanup(func() {
		close(b.released)
		b.Server.Close()
	})
	return b
}

func (b *Backend) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Elastic-Product", "Elasticsearch")
	bulk := strings.HasSuffix(r.URL.Path, "_bulk")
	arrived, err := arrivals(r, bulk)
	if err != nil {
		http.Error(w, err.Error(), http.StatusTeapot)
		return
	}
	b.mutex.Lock()
	b.requests++
	behave := b.behave
	b.mutex.Unlock()
	if behave != nil {
		b.take(behave(w, r, arrived))
		return
	}
	b.take(arrived)
	if bulk {
		AnswerBulk(w, arrived, func(int) *BulkItem { return nil })
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (b *Backend) take(taken []Arrival) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, a := range taken {
		if before, ok := b.taken[a.Serial]; ok && before != a.UID {
			b.changed = append(b.changed, a.Serial)
		}
		b.taken[a.Serial] = a.UID
	}
}

// Behaves sets how the backend answers from now on; well, if behave is nil.
func (b *Backend) Behaves(behave Behavior) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.behave, b.requests = behave, 0
}

// Asked is how many requests there were since Behaves was called.
func (b *Backend) Asked() int {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.requests
}

// has reports whether all of these have been taken.
func (b *Backend) has(serials ...int) bool { return b.Count(serials...) == len(serials) }

// Count is how many of these have been taken.
func (b *Backend) Count(serials ...int) int {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	count := 0
	for _, serial := range serials {
		if _, ok := b.taken[serial]; ok {
			count++
		}
	}
	return count
}

// Arrive waits until all of these have been taken.
func (b *Backend) Arrive(t *testing.T, serials []int) {
	t.Helper()
	harness.Eventually(t, func() bool { return b.has(serials...) }, "all %d records arrive", len(serials))
	b.mutex.Lock()
	defer b.mutex.Unlock()
	assert.Empty(t, b.changed, "what comes twice has the same uid")
}
