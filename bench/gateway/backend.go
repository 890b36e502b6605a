// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
)

// backend accepts OTLP over HTTP. It keeps only how many records arrived, and how long
// each was on its way.
type backend struct {
	server *httptest.Server
	url    string
	mutex  sync.Mutex
	late   []time.Duration
}

func startBackend() *backend {
	b := new(backend)
	b.server = httptest.NewServer(b)
	b.url = b.server.URL
	return b
}

// ServeHTTP implements http.Handler.
func (b *backend) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	if strings.HasSuffix(request.URL.Path, "/v1/metrics") {
		return
	}
	now := time.Now()
	logs := plogotlp.NewExportRequest()
	unpacked, err := gzip.NewReader(request.Body)
	if err == nil {
		var body []byte
		if body, err = io.ReadAll(unpacked); err == nil {
			err = logs.UnmarshalProto(body)
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for _, resource := range logs.Logs().ResourceLogs().All() {
		for _, scope := range resource.ScopeLogs().All() {
			for _, record := range scope.LogRecords().All() {
				b.late = append(b.late, now.Sub(record.ObservedTimestamp().AsTime()))
			}
		}
	}
}

func (b *backend) taken() int {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return len(b.late)
}

// await waits until this many records have arrived.
func (b *backend) await(records int) error {
	for start := time.Now(); b.taken() < records; time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > patience {
			return fmt.Errorf("only %d of %d records arrived", b.taken(), records)
		}
	}
	return nil
}

// delays returns the median and the maximum of the time that records were on their way.
func (b *backend) delays() (median, most time.Duration) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	slices.Sort(b.late)
	return b.late[len(b.late)/2], b.late[len(b.late)-1]
}
