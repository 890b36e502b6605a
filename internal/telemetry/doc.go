// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package telemetry turns signal events into OpenTelemetry data.
package telemetry
