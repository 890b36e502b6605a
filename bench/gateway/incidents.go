// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/grpc"
)

const (
	// gatewaysOfTier is how many gateways send to the incident tier at a time.
	gatewaysOfTier = 4
	// hostsOfBatch is how many hosts a batch is of: each tells of a signal and of its outcome.
	hostsOfBatch = 500
	// batchesOfIncident is how many batches belong to one incident.
	batchesOfIncident = 4
)

// join measures how many records the incident tier takes on one core, all of them members of incidents. A batch is accepted once it is on disk.
func join(o options) (err error) {
	way, err := open(tier{"", []gateway{{binary: o.collector, config: "configs/incidents.yaml", variables: []string{"GOMAXPROCS=1"}}}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, way.close()) }()
	fleet, err := connect(way.address, way.certificates, gatewaysOfTier)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fleet.close()) }()

	var batches atomic.Int64
	all := int64(o.burst / (2 * hostsOfBatch))
	before, started := way.first().cpu(), time.Now()
	sent, err := fleet.each(func(ctx context.Context, _ int, a *agent) error {
		for n := batches.Add(1); n <= all; n = batches.Add(1) {
			request := plogotlp.NewExportRequestFromLogs(restarts(int(n)))
			if _, failed := a.client.Export(ctx, request, grpc.WaitForReady(true)); failed != nil {
				return failed
			}
			a.sent += 2 * hostsOfBatch
		}
		return nil
	})
	if err != nil {
		return err
	}
	elapsed, cpu := time.Since(started), way.first().cpu()-before
	fmt.Printf("| `incidents.yaml`, on one core | %.0f | %.1f | %d |\n",
		float64(sent)/elapsed.Seconds(), float64(cpu.Microseconds())/float64(sent), way.first().memory()>>20)
	return nil
}

// restarts are what hosts tell of a rolling restart: each of a signal and of its outcome.
func restarts(batch int) plog.Logs {
	logs, now := plog.NewLogs(), time.Now()
	for n := range hostsOfBatch {
		host, resource := batch*hostsOfBatch+n, logs.ResourceLogs().AppendEmpty()
		resource.Resource().Attributes().PutStr("host.name", fmt.Sprintf("host-%d", n))
		resource.Resource().Attributes().PutStr("host.id", fmt.Sprintf("%032x", n))
		records := resource.ScopeLogs().AppendEmpty().LogRecords()
		signal := restart(records.AppendEmpty(), "kill.signal", batch, host, now)
		signal.PutInt("kill.signal.number", 15)
		signal.PutStr("kill.signal.name", "SIGTERM")
		outcome := restart(records.AppendEmpty(), "kill.outcome", batch, host, now.Add(time.Millisecond))
		outcome.PutStr("kill.outcome", "exited")
	}
	return logs
}

func restart(record plog.LogRecord, event string, batch, pid int, at time.Time) pcommon.Map {
	record.SetEventName(event)
	record.SetTimestamp(pcommon.NewTimestampFromTime(at))
	record.SetObservedTimestamp(pcommon.NewTimestampFromTime(at))
	record.Body().SetStr("systemd[1] sent SIGTERM to mariadbd, asked for by systemctl restart mariadb")
	incident := batch / batchesOfIncident
	attributes := record.Attributes()
	_ = attributes.FromRaw(map[string]any{ // of types that it has
		"kill.cause": "service_restart", "kill.evidence": "observed", "kill.target.pid": pid, "kill.target.name": "mariadbd",
		"kill.target.start_time": "2026-03-01T10:00:00.010Z", "kill.target.systemd.unit": "mariadb.service",
		"process.pid": 1, "process.command": "systemd", "process.user.id": 0, "kill.requester.pid": pid + 1,
		"kill.requester.name": "systemctl", "kill.requester.title": "systemctl restart mariadb", "kill.requester.user.id": 0,
		"kill.initiator.pid": pid + 2, "kill.initiator.name": "sudo", "kill.initiator.title": "sudo systemctl restart mariadb",
		"user.id": strconv.Itoa(1000 + incident), "user.name": fmt.Sprintf("user-%d", incident), "client.address": "10.0.0.5",
		"kill.session.id": strconv.Itoa(pid), "kill.source": "ebpf", "kill.result": "success", "log.record.uid": fmt.Sprint(event, pid),
	})
	return attributes
}
