// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/logfile"
	"github.com/auditkill/auditkillreceiver/internal/source"
)

// checkpointVersion is the version of the encoding below.
const checkpointVersion = 1

// checkpoint is the place up to which every event has been delivered.
type checkpoint struct {
	Version int `json:"version"`
	identity
	// Offset is that of the first byte that is not done yet, in the uncompressed file.
	Offset int64 `json:"offset"`
	// First is the stamp of the file's first record. If the file is gone, it shows which of
	// the other files are newer. While the file has no record, it is that of the previous
	// file.
	First auditrecord.Stamp `json:"first"`
}

// checkpoints keeps the checkpoint of one log in a store; with a nil store it keeps nothing.
type checkpoints struct {
	store source.Store
	key   string
	saved checkpoint
}

func newCheckpoints(store source.Store, path string) *checkpoints {
	return &checkpoints{store: store, key: "file:" + path}
}

// load returns the checkpoint, or nil if there is none.
func (c *checkpoints) load(ctx context.Context) (*checkpoint, error) {
	if c.store == nil {
		return nil, nil
	}
	data, err := c.store.Get(ctx, c.key)
	if err != nil {
		return nil, fmt.Errorf("reading the checkpoint %q: %w", c.key, err)
	}
	if data == nil {
		return nil, nil
	}
	var loaded checkpoint
	if err := json.Unmarshal(data, &loaded); err != nil {
		return nil, c.damaged(err)
	}
	if loaded.Version != checkpointVersion {
		return nil, fmt.Errorf("checkpoint %q has version %d, this receiver reads version %d: "+
			"use the receiver that wrote it, or remove the storage to start anew", c.key, loaded.Version, checkpointVersion)
	}
	if loaded.Offset < 0 || loaded.Length < 0 || loaded.Length > logfile.PrefixLength {
		return nil, c.damaged(errors.New("a number is out of range"))
	}
	c.saved = loaded
	return &loaded, nil
}

func (c *checkpoints) damaged(err error) error {
	return fmt.Errorf("checkpoint %q is damaged, remove the storage to start anew: %w", c.key, err)
}

// save stores a checkpoint unless it is the one stored already.
func (c *checkpoints) save(ctx context.Context, at checkpoint) error {
	if at == c.saved || c.store == nil {
		return nil
	}
	data, err := json.Marshal(at)
	if err != nil {
		return err
	}
	if err := c.store.Set(ctx, c.key, data); err != nil {
		return fmt.Errorf("saving the checkpoint %q: %w", c.key, err)
	}
	c.saved = at
	return nil
}
