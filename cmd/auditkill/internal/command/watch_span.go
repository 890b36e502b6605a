// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"cmp"
	"errors"
	"strconv"
	"strings"
	"time"
)

// span is a flag with a duration.
type span time.Duration

var errNoSpan = errors.New("give it as 30s, 10m, 1h30m, 2d or 1d12h")

// String implements pflag.Value. pflag shows no default if it is "0".
func (s *span) String() string {
	if *s == 0 {
		return "0"
	}
	return time.Duration(*s).String()
}

// Type implements pflag.Value.
func (*span) Type() string { return "duration" }

// Set implements pflag.Value. It accepts what time.ParseDuration does, with days before that.
func (s *span) Set(text string) error {
	var total time.Duration
	if days, rest, found := strings.Cut(text, "d"); found {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return errNoSpan
		}
		total = time.Duration(n) * 24 * time.Hour
		text = cmp.Or(rest, "0")
	}
	rest, err := time.ParseDuration(text)
	if err != nil || rest < 0 || total+rest < total {
		return errNoSpan
	}
	*s = span(total + rest)
	return nil
}
