// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package delivery

import "go.opentelemetry.io/collector/consumer/consumererror"

// permanent reports whether every consumer has refused the data for good. The error of a pipeline
// with several exporters joins theirs, and consumererror.IsPermanent is true if one of them is: then
// another exporter, whose backend was only away for a while, would never get the data.
func permanent(err error) bool {
	if !consumererror.IsPermanent(err) {
		return false
	}
	for _, e := range joined(err) {
		if !permanent(e) {
			return false
		}
	}
	return true
}

// joined returns the errors that an error joins; none if it is a single one.
func joined(err error) []error {
	for err != nil {
		switch e := err.(type) { //nolint:errorlint // it takes the error apart
		case interface{ Unwrap() []error }:
			return e.Unwrap()
		case interface{ Unwrap() error }:
			err = e.Unwrap()
		default:
			return nil
		}
	}
	return nil
}
