// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package faulty is a backend that refuses requests, hangs, closes connections or answers nonsense,
// as a test wants it. It identifies records by their serial number in the audit system, so that a
// test can check that all of them arrive, and that duplicates have the same uid.
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

// Backend is a server for OTLP over HTTP and for Elasticsearch's bulk API.
type Backend struct {
	Server *httptest.Server
	// released is closed at the end of the test, to end requests that hang.
	released chan struct{}

	mutex    sync.Mutex
	behave   Behavior // nil while it is healthy
	requests int
	taken    map[int]string
	changed  []int // serials that arrived again with another uid
}

// New returns a backend that is healthy until Behaves is called.
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

// Behaves sets how the backend answers from now on. If behave is nil, it is healthy.
func (b *Backend) Behaves(behave Behavior) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.behave, b.requests = behave, 0
}

// Requests returns how many requests have arrived since the last call of Behaves.
func (b *Backend) Requests() int {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.requests
}

// has reports whether the backend has accepted all these records.
func (b *Backend) has(serials ...int) bool { return b.Count(serials...) == len(serials) }

// Count returns how many of these records the backend has accepted.
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

// Arrive waits until the backend has accepted all these records.
func (b *Backend) Arrive(t *testing.T, serials []int) {
	t.Helper()
	harness.Eventually(t, func() bool { return b.has(serials...) }, "all %d records arrive", len(serials))
	b.mutex.Lock()
	defer b.mutex.Unlock()
	assert.Empty(t, b.changed, "serials of records that arrived again with another uid")
}
