// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/mostynb/go-grpc-compression/nonclobbering/zstd"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/golden"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// sample has log records that the receiver emitted for recorded signals. Each record
// that an agent sends is a copy of one of them.
const sample = "testdata/golden/traced.yaml"

// fleet is a number of agents.
type fleet struct {
	agents []*agent
}

// agent has its own connection and resource, as an agent on a host does.
type agent struct {
	connection *grpc.ClientConn
	client     plogotlp.GRPCClient
	resource   plog.ResourceLogs
	// sent is how many records it has sent.
	sent int
}

func connect(address string, certificates *certificates, hosts int) (*fleet, error) {
	logs, err := golden.ReadLogs(sample)
	if err != nil {
		return nil, err
	}
	f := new(fleet)
	for i := range hosts {
		connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(certificates.client)),
			grpc.WithDefaultCallOptions(grpc.UseCompressor(zstd.Name))) // as in configs/agent.yaml
		if err != nil {
			return nil, errors.Join(err, f.close())
		}
		a := &agent{connection: connection, client: plogotlp.NewGRPCClient(connection), resource: plog.NewResourceLogs()}
		logs.ResourceLogs().At(0).CopyTo(a.resource)
		resource, name := a.resource.Resource().Attributes(), fmt.Sprintf("host-%04d", i)
		resource.PutStr("host.name", name)
		resource.PutStr("service.instance.id", name)
		resource.PutStr("host.id", fmt.Sprintf("%032x", i))
		f.agents = append(f.agents, a)
	}
	return f, nil
}

// report has each agent send one record per period, spread over the period, and returns
// how many were sent.
func (f *fleet) report(period, length time.Duration) (int, error) {
	return f.each(func(ctx context.Context, i int, a *agent) error {
		time.Sleep(period * time.Duration(i) / time.Duration(len(f.agents)))
		ticker := time.NewTicker(period)
		defer ticker.Stop()
		for range length / period {
			if err := a.send(ctx, 1); err != nil {
				return err
			}
			<-ticker.C
		}
		return nil
	})
}

// flood has the agents send this many records, in batches, as fast as they are accepted.
func (f *fleet) flood(records, batch int) (int, error) {
	return f.each(func(ctx context.Context, _ int, a *agent) error {
		for range records / batch / len(f.agents) {
			if err := a.send(ctx, batch); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *fleet) each(do func(context.Context, int, *agent) error) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	before := f.sent()
	var first error // the other errors will be the same
	var once sync.Once
	var group sync.WaitGroup
	for i, a := range f.agents {
		group.Go(func() {
			if err := do(ctx, i, a); err != nil {
				once.Do(func() { first = err })
			}
		})
	}
	group.Wait()
	return f.sent() - before, first
}

func (f *fleet) sent() int {
	sum := 0
	for _, a := range f.agents {
		sum += a.sent
	}
	return sum
}

func (a *agent) send(ctx context.Context, records int) error {
	logs := plog.NewLogs()
	resource := logs.ResourceLogs().AppendEmpty()
	a.resource.Resource().CopyTo(resource.Resource())
	samples := a.resource.ScopeLogs().At(0)
	scope := resource.ScopeLogs().AppendEmpty()
	samples.Scope().CopyTo(scope.Scope())
	now := pcommon.NewTimestampFromTime(time.Now())
	for range records {
		record := scope.LogRecords().AppendEmpty()
		samples.LogRecords().At(a.sent % samples.LogRecords().Len()).CopyTo(record)
		record.SetTimestamp(now)
		record.SetObservedTimestamp(now)
		a.sent++
	}
	_, err := a.client.Export(ctx, plogotlp.NewExportRequestFromLogs(logs), grpc.WaitForReady(true))
	return err
}

func (f *fleet) close() error {
	var errs error
	for _, a := range f.agents {
		errs = errors.Join(errs, a.connection.Close())
	}
	return errs
}
