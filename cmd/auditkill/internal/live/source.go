// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"time"

	"go.opentelemetry.io/collector/extension/xextension/storage"

	"github.com/auditkill/auditkillreceiver/internal/correlate"
	"github.com/auditkill/auditkillreceiver/internal/source/filesource"
)

// These are the receiver's defaults.
const (
	ringBuffer    = 4 << 20
	receiveBuffer = 8 << 20
	// quiet is how long a signal to many waits for more targets, whom a log tells one after
	// the other: its lines are to be there within 100 ms.
	quiet = 50 * time.Millisecond
)

// file follows a log from its end.
func (w *Watch) file() candidate {
	return candidate{name: File, advise: w.adviseFile, Source: filesource.New(filesource.Settings{
		Path: w.config.Path, Follow: true, Correlation: w.correlation(logKey), Storage: storage.NewNopClient(),
		Telemetry: w.telemetry, Logger: w.logger, Tampered: func() {}, Report: ignore,
	})}
}

// correlation says how records are joined, and by which key the rules are known that the
// source depends on.
func (w *Watch) correlation(key string) correlate.Config {
	return correlate.Config{
		Timeout: correlate.DefaultTimeout, Quiet: quiet, MaxPending: correlate.DefaultMaxPending, Key: key, Executable: w.config.Host.Executable,
	}
}

// ignore is for trouble that the source tells the logger, too.
func ignore(error) {}
