// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"slices"

	"go.opentelemetry.io/collector/consumer/consumererror"
)

// permanent reports whether every consumer has refused the data for good. The error of a pipeline
// with several exporters joins theirs, and consumererror.IsPermanent is true if one of them is: then
// another exporter, whose backend was only away for a while, would never get the data.
func permanent(err error) bool {
	if !consumererror.IsPermanent(err) {
		return false
	}
	switch e := err.(type) { //nolint:errorlint // it takes the error apart
	case interface{ Unwrap() []error }:
		return !slices.ContainsFunc(e.Unwrap(), func(e error) bool { return !permanent(e) })
	case interface{ Unwrap() error }:
		inner := e.Unwrap()
		return !consumererror.IsPermanent(inner) || permanent(inner) // else err itself marks all that it wraps
	}
	return true
}
