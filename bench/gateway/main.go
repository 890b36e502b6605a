// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

// Command gateway measures what a gateway costs with 10, 100 and 1,000 hosts, and how
// many records it, and an incident tier, can handle. It runs the shipped configurations with mutual TLS,
// simulates the agents, each with a connection and a resource of its own, and has a
// backend that only counts.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options are the command line options.
type options struct {
	collector, fleet string
	parts            string
	hosts            string
	seconds          int
	burst            int
}

func main() {
	var o options
	flag.StringVar(&o.collector, "collector", "_build/otelcol-auditkill", "the collector that runs as the gateway")
	flag.StringVar(&o.fleet, "fleet", "_build/fleet/otelcol-fleet", "the collector that runs as the load balancer")
	flag.StringVar(&o.parts, "parts", "hosts most incidents", "what to measure")
	flag.StringVar(&o.hosts, "hosts", "10 100 1000", "numbers of hosts, measured one after the other")
	flag.IntVar(&o.seconds, "seconds", 20, "how many seconds to measure each number of hosts")
	flag.IntVar(&o.burst, "burst", 400_000, "how many records to send as fast as the gateway accepts them")
	flag.Parse()
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/gateway:", err)
		os.Exit(1)
	}
}

// tier is a chain of collectors between the agents and the backend. The first one is next
// to the agents.
type tier struct {
	name       string
	collectors []gateway
}

func tiers(o options) []tier {
	plain := gateway{binary: o.collector, config: "configs/gateway.yaml"}
	balancer := gateway{binary: o.fleet, config: "configs/fleet/loadbalancer.yaml"}
	return []tier{
		{"`gateway.yaml`", []gateway{plain}},
		{"`fleet/loadbalancer.yaml` before it", []gateway{balancer, plain}},
	}
}

func run(o options) error {
	parts := strings.Fields(o.parts)
	if slices.Contains(parts, "hosts") {
		if err := steadies(o); err != nil {
			return err
		}
	}
	fmt.Println("| gateway | records a second at most | CPU us for a record | memory MB |")
	fmt.Println("|---|--:|--:|--:|")
	if slices.Contains(parts, "most") {
		for _, tier := range tiers(o) {
			if err := most(tier, o); err != nil {
				return fmt.Errorf("%s at its limit: %w", tier.name, err)
			}
		}
	}
	if slices.Contains(parts, "incidents") {
		if err := join(o); err != nil {
			return fmt.Errorf("incidents.yaml: %w", err)
		}
	}
	return nil
}

// steadies measures all numbers of hosts.
func steadies(o options) error {
	fmt.Println("| gateway | hosts | records a second | CPU seconds a second | for a host, ms | memory MB | p50 s | most s |")
	fmt.Println("|---|--:|--:|--:|--:|--:|--:|--:|")
	for _, tier := range tiers(o) {
		for field := range strings.FieldsSeq(o.hosts) {
			hosts, err := strconv.Atoi(field)
			if err != nil {
				return fmt.Errorf("-hosts: %w", err)
			}
			if err := steady(tier, hosts, o); err != nil {
				return fmt.Errorf("%s with %d hosts: %w", tier.name, hosts, err)
			}
		}
	}
	fmt.Println()
	return nil
}

// steady measures the first collector of a tier while each host reports one signal per
// second, which is more than a host sends on most days.
func steady(t tier, hosts int, o options) (err error) {
	way, err := open(t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, way.close()) }()
	fleet, err := connect(way.address, way.certificates, hosts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fleet.close()) }()

	period := time.Second
	if _, err = fleet.report(period, 3*time.Second); err != nil { // warm-up
		return err
	}
	before, taken, started := way.first().cpu(), way.backend.taken(), time.Now()
	sent, err := fleet.report(period, time.Duration(o.seconds)*time.Second)
	if err != nil {
		return err
	}
	elapsed := time.Since(started)
	cpu := (way.first().cpu() - before).Seconds() / elapsed.Seconds()
	memory := way.first().memory()
	if err := way.backend.await(taken + sent); err != nil {
		return err
	}
	median, most := way.backend.delays()
	fmt.Printf("| %s | %d | %.0f | %.3f | %.2f | %d | %.1f | %.1f |\n", t.name, hosts,
		float64(sent)/elapsed.Seconds(), cpu, 1000*cpu/float64(hosts), memory>>20, median.Seconds(), most.Seconds())
	return nil
}

// most measures how many records the first collector can handle, sent in batches of 2 MB as
// agents do after an outage.
func most(t tier, o options) (err error) {
	way, err := open(t)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, way.close()) }()
	fleet, err := connect(way.address, way.certificates, 8)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fleet.close()) }()

	before, started := way.first().cpu(), time.Now()
	sent, err := fleet.flood(o.burst, 1500)
	if err != nil {
		return err
	}
	if err := way.backend.await(sent); err != nil {
		return err
	}
	elapsed, cpu := time.Since(started), way.first().cpu()-before
	fmt.Printf("| %s | %.0f | %.1f | %d |\n", t.name,
		float64(sent)/elapsed.Seconds(), float64(cpu.Microseconds())/float64(sent), way.first().memory()>>20)
	return nil
}
