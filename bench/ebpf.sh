#!/usr/bin/env bash
# Copyright The auditkill Authors
# SPDX-License-Identifier: Apache-2.0
#
# Measures the ebpf source beside auditd and bpftrace's killsnoop on this machine's kernel, all in one run, and prints
# tables for docs/performance.md. It takes root, auditd, bpftrace, and an audit system that nobody else uses. `make bench-ebpf`
# builds the collector first. Options are those of bench/live: -seconds, -rounds, -parts, -collector.
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go build -o "$dir/live" ./bench/live
"$dir/live" -parts "tracing throughput burst idle outcomes" "$@"
