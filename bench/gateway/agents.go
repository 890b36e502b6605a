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

// sample is what the receiver has made of a recording from the kernel. Each record
// that is sent is a copy of one of these.
const sample = "testdata/golden/traced.yaml"

// fleet is a number of agents.
type fleet struct {
	agents []*agent
}

// agent has a connection and a resource of its own, as one on a host.
type agent struct {
	connection *grpc.ClientConn
	client     plogotlp.GRPCClient
	resource   plog.ResourceLogs
	// told is how many records it has sent.
	told int
}

func connect(address string, certificates *certificates, hosts int) (*fleet, error) {
	logs, err := golden.ReadLogs(sample)
	if err != nil {
		return nil, err
	}
	f := new(fleet)
	for i := range hosts {
		connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(certificates.client)),
			grpc.WithDefaultCallOptions(grpc.UseCompressor(zstd.Name))) // as configs/agent.yaml has it
		if err != nil {
			return nil, errors.Join(err, f.close())
		}
		a := &agent{connection: connection, client: plogotlp.NewGRPCClient(connection), resource: plog.NewResourceLogs()}
		logs.ResourceLogs().At(0).CopyTo(a.resource)
		a.resource.Resource().Attributes().PutStr("host.name", fmt.Sprintf("host-%04d", i))
		a.resource.Resource().Attributes().PutStr("host.id", fmt.Sprintf("%032x", i))
		f.agents = append(f.agents, a)
	}
	return f, nil
}

// tell lets each agent send one record in each period, spread over it, and returns
// how many were sent.
func (f *fleet) tell(period, length time.Duration) (int, error) {
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

// flood lets the agents send so many records, in batches, as fast as they are taken.
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
	before := f.told()
	var first error // the others say the same
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
	return f.told() - before, first
}

func (f *fleet) told() int {
	sum := 0
	for _, a := range f.agents {
		sum += a.told
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
		samples.LogRecords().At(a.told % samples.LogRecords().Len()).CopyTo(record)
		record.SetTimestamp(now)
		record.SetObservedTimestamp(now)
		a.told++
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
