// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/auditlog"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// The folder of the storage extension has no room left. Events must be delivered
// nevertheless.

func storageConfig(log *auditlog.Log, sink *otlp.Sink, directory string) collector.Config {
	return collector.Config{
		Receiver:   fmt.Sprintf(`{file: {path: %q, start_at: beginning}, storage: file_storage}`, log.Path),
		Exporter:   sink.Exporter,
		Extensions: collector.FileStorage(directory),
	}
}

// startStored starts a collector, and waits until the checkpoint of a first event is stored.
func startStored(t *testing.T) (*collector.Collector, *smallDisk, *auditlog.Log, *otlp.Sink) {
	t.Helper()
	disk, log, sink := newSmallDisk(t), auditlog.New(t), otlp.NewSink(t, "grpc")
	c := collector.Start(t, storageConfig(log, sink, disk.path))
	log.Add(auditlog.SingleKill(t))
	otlp.AwaitAll(t, sink, log.Want)
	disk.await(t, log)
	return c, disk, log, sink
}

func TestStorageFull(t *testing.T) {
	t.Parallel()
	c, disk, log, sink := startStored(t)
	kill := auditlog.SingleKill(t)
	disk.fill(t)
	for range 20 {
		log.Add(kill)
	}
	otlp.AwaitAll(t, sink, log.Want)
	harness.Eventually(t, func() bool { return c.Metric("audit_kill_checkpoint_errors") > 0 }, "the error is counted")
	c.Says("make room for the storage extension")
	c.Says("no space left on device")
	log.Add(kill)
	otlp.AwaitAll(t, sink, log.Want)

	disk.empty(t)
	log.Add(kill)
	otlp.AwaitAll(t, sink, log.Want)
	c.Stop()
	assert.Equal(t, log.Want, otlp.KeysOf(sink.Records()), "each log record arrives once")

	// The checkpoint has moved on: nothing is delivered again.
	c = collector.Start(t, storageConfig(log, sink, disk.path))
	c.Ready()
	log.Add(kill)
	otlp.AwaitAll(t, sink, log.Want)
	c.Stop()
	assert.Equal(t, log.Want, otlp.KeysOf(sink.Records()), "each log record arrives once")
}

// A crash while the storage is full leads only to duplicates.
func TestKilledWhileStorageIsFull(t *testing.T) {
	t.Parallel()
	c, disk, log, sink := startStored(t)
	kill := auditlog.SingleKill(t)
	disk.fill(t)
	log.Add(kill)
	otlp.AwaitAll(t, sink, log.Want)
	c.Kill()
	disk.empty(t)

	log.Add(kill)
	c = collector.Start(t, storageConfig(log, sink, disk.path))
	otlp.AwaitAll(t, sink, log.Want)
	c.Stop()
	otlp.AssertConsistent(t, sink.Records(), log.Want)
}

func TestStorageFullAtStart(t *testing.T) {
	t.Parallel()
	disk, log, sink := newSmallDisk(t), auditlog.New(t), otlp.NewSink(t, "grpc")
	disk.fill(t)
	c := collector.Start(t, storageConfig(log, sink, disk.path))
	assert.NotZero(t, c.Wait())
	assert.Contains(t, c.Output.String(), `storage: opening "file_storage"`)
	assert.Contains(t, c.Output.String(), "no space left on device")
}

// smallDisk is a file system with room for little more than a checkpoint.
type smallDisk struct{ path string }

func newSmallDisk(t *testing.T) *smallDisk {
	t.Helper()
	return &smallDisk{path: mountSmall(t, "256k")}
}

func (d *smallDisk) database() string { return filepath.Join(d.path, "receiver_audit_kill_") }

func (d *smallDisk) filler() string { return filepath.Join(d.path, "filler") }

// await waits until the collector has stored that it has read the whole log. It then stores nothing
// until something new is written.
func (d *smallDisk) await(t *testing.T, log *auditlog.Log) {
	t.Helper()
	info, err := log.File.Stat()
	require.NoError(t, err)
	stored := fmt.Appendf(nil, `"offset":%d,`, info.Size())
	harness.Eventually(t, func() bool {
		data, err := os.ReadFile(d.database())
		return err == nil && bytes.Contains(data, stored)
	}, "the checkpoint is stored")
}

// fill leaves no room on the disk. The database reuses the pages that it has freed, so these are
// returned to the file system first. Copy-on-write file systems such as btrfs and ZFS do not need
// that.
func (d *smallDisk) fill(t *testing.T) {
	t.Helper()
	if file, err := os.OpenFile(d.database(), os.O_RDWR, 0); err == nil {
		for _, page := range freePages(t, file) {
			require.NoError(t, unix.Fallocate(int(file.Fd()),
				unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, page.offset, page.size))
		}
		require.NoError(t, file.Close())
	}
	filler, err := os.Create(d.filler())
	require.NoError(t, err)
	for err == nil {
		_, err = filler.Write(make([]byte, 4096))
	}
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.NoError(t, filler.Close())
}

func (d *smallDisk) empty(t *testing.T) {
	t.Helper()
	require.NoError(t, os.Remove(d.filler()))
}

type page struct{ offset, size int64 }

// freePages returns the free pages of a bbolt database: all but the two with its
// metadata and the one with its only value (bbolt, db.go, type meta; the storage
// extension does not store a list of free pages).
func freePages(t *testing.T, file *os.File) []page {
	t.Helper()
	info, err := file.Stat()
	require.NoError(t, err)
	header := make([]byte, 80)
	var size, root int64
	var newest uint64
	for i := range int64(2) {
		_, err := file.ReadAt(header, i*max(size, int64(os.Getpagesize())))
		require.NoError(t, err)
		require.Equal(t, uint32(0xED0CDAED), binary.NativeEndian.Uint32(header[16:]), "bbolt's magic number")
		size = int64(binary.NativeEndian.Uint32(header[24:]))
		if transaction := binary.NativeEndian.Uint64(header[64:]); transaction >= newest {
			newest, root = transaction, int64(binary.NativeEndian.Uint64(header[32:]))
		}
	}
	var free []page
	for i := int64(2); i*size < info.Size(); i++ {
		if i != root {
			free = append(free, page{i * size, size})
		}
	}
	return free
}
