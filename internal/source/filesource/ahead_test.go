// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource_test

import (
	"compress/gzip"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/source"
)

// TestCheckpointWhileReadingAhead stops reading a log of several blocks after any batch. However far it was read ahead, the
// next run goes on right after that batch: no event is missing, and none is delivered twice.
func TestCheckpointWhileReadingAhead(t *testing.T) {
	t.Parallel()
	const events, batches = 600, 5
	var text strings.Builder
	other := strings.Repeat(`type=PATH msg=audit(1450214919.000:1): item=0 name="/usr/lib/x86_64-linux-gnu/libc.so.6"`+"\n", 200)
	for n := 1; n <= events; n++ {
		text.WriteString(event(n) + other)
	}
	for _, name := range []string{"plain", "compressed"} {
		for stopAfter := range batches {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				if name == "plain" {
					b.write(t, b.number(1), text.String())
				} else {
					zip(t, b.number(1)+".gz", text.String())
				}
				b.append(t, event(events+1))
				got := deliverSome(t, b, stopAfter, events+1)
				assert.Less(t, len(got), events)
				got = append(got, deliverSome(t, b, events, events+1)...)
				var want []string
				for n := 1; n <= events+1; n++ {
					want = append(want, keyOf(n))
				}
				assert.Equal(t, want, got)
				assert.Zero(t, b.lost())
				assert.Zero(t, b.rejected())
			})
		}
	}
}

// deliverSome reads a log to its last event, or until so many batches have been delivered, and returns their events.
func deliverSome(t *testing.T, b *bench, batches, last int) (delivered []string) {
	t.Helper()
	settings := b.settings()
	settings.Follow = false
	s := newSource(t, settings)
	require.NoError(t, s.Start(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.Run(ctx, func(seen []source.Observation) error {
		if batches == 0 {
			cancel()
			return errors.New("shutting down")
		}
		batches--
		for _, o := range seen {
			delivered = append(delivered, keyOf(int(o.Event.Audit.Serial)))
			if int(o.Event.Audit.Serial) == last {
				cancel()
			}
		}
		return nil
	})
	return delivered
}

func zip(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.Create(path)
	require.NoError(t, err)
	zipped := gzip.NewWriter(file)
	_, err = zipped.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, zipped.Close())
	require.NoError(t, file.Close())
}
