// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package bulk

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Store is a stand-in for Elasticsearch. Like Elasticsearch, it keeps the first document of each id.
type Store struct {
	// URL is its address.
	URL string

	t     *testing.T
	check func(*http.Request)

	mutex     sync.Mutex
	documents []Document
	ids       map[string]bool
	// refused counts documents that were sent again.
	refused int
}

// NewStore runs a store until the test ends. check is called with each bulk request.
func NewStore(t *testing.T, check func(*http.Request)) *Store {
	t.Helper()
	s := &Store{t: t, check: check, ids: make(map[string]bool)}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Documents returns the documents in the order in which they arrived, and how many were refused.
func (s *Store) Documents() (documents []Document, refused int) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return slices.Clone(s.documents), s.refused
}

// ServeHTTP implements http.Handler.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Elastic-Product", "Elasticsearch") // without it Elasticsearch's client refuses to go on
	w.Header().Set("Content-Type", "application/json")
	if !strings.HasSuffix(r.URL.Path, "/_bulk") {
		_, _ = io.WriteString(w, `{"version": {"number": "8.16.0"}}`)
		return
	}
	s.check(r)
	documents, err := Read(r)
	if !assert.NoError(s.t, err) {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	items := make([]any, len(documents))
	failed := false
	for i, d := range documents {
		answer := map[string]any{"_index": d.Index, "_id": d.ID, "status": http.StatusCreated}
		if !s.create(d) {
			failed = true
			answer["status"] = http.StatusConflict
			answer["error"] = map[string]any{
				"type": "version_conflict_engine_exception", "reason": "version conflict, document already exists",
			}
		}
		items[i] = map[string]any{"create": answer}
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": failed, "items": items})
}

// create keeps a document unless its id is known. Elasticsearch makes up an id for one without, which nobody knows before.
func (s *Store) create(d Document) bool {
	if d.ID != "" && s.ids[d.ID] {
		s.refused++
		return false
	}
	s.ids[d.ID] = true
	s.documents = append(s.documents, d)
	return true
}
