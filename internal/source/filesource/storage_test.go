// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource_test

import (
	"context"
	"encoding/json"
	"maps"
	"sync"
	"testing"

	"github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/storagetest"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/xextension/storage"
)

// fakeStorage is a storage extension in memory that can be full.
type fakeStorage struct {
	storage.Client

	mutex   sync.Mutex
	content map[string][]byte
	full    error
	sets    int
}

func newFakeStorage() *fakeStorage {
	id := component.MustNewIDWithName("audit_kill", "test")
	return &fakeStorage{
		Client:  storagetest.NewInMemoryClient(component.KindReceiver, id, ""),
		content: map[string][]byte{},
	}
}

func (s *fakeStorage) Set(ctx context.Context, key string, value []byte) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.sets++
	if s.full != nil {
		return s.full
	}
	s.content[key] = value
	return s.Client.Set(ctx, key, value)
}

// fill makes the storage refuse everything, or with nil accept it again.
func (s *fakeStorage) fill(err error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.full = err
}

// tries returns how often something was about to be stored.
func (s *fakeStorage) tries() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.sets
}

// copy returns a storage with the same content: what a collector finds if it is killed at this moment.
func (s *fakeStorage) copy(t *testing.T) *fakeStorage {
	t.Helper()
	s.mutex.Lock()
	content := maps.Clone(s.content)
	s.mutex.Unlock()
	twin := newFakeStorage()
	for key, value := range content {
		require.NoError(t, twin.Set(t.Context(), key, value))
	}
	return twin
}

// checkpoint is what the source stores; the names are those in the storage.
type checkpoint struct {
	Version      int    `json:"version"`
	PrefixLength int    `json:"prefix_length"`
	PrefixSum    uint64 `json:"prefix_sum"`
	Offset       int64  `json:"offset"`
}

// checkpoint returns what is stored for a log, or nil.
func (s *fakeStorage) checkpoint(t require.TestingT, path string) *checkpoint {
	data, err := s.Get(context.Background(), "file:"+path)
	require.NoError(t, err)
	if data == nil {
		return nil
	}
	var stored checkpoint
	require.NoError(t, json.Unmarshal(data, &stored))
	return &stored
}
