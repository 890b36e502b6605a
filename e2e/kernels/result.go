// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/auditkill/auditkillreceiver/e2e/kernels/internal/console"
)

// result is what a console has shown of one boot.
type result struct {
	kernel                  string
	passed, failed, skipped int
	// ended are the names of the tests that have, and of their parts.
	ended map[string]bool
	// skips say why a test was skipped, each once.
	skips []string
	// told is the output without what says only that a test runs or has passed.
	told []string
	err  error
}

// testMark begins what go test says of its tests (-test.v=test2json), which may
// come in the middle of a line that a test has not ended.
const testMark = "\x16"

var (
	verdictPattern = regexp.MustCompile(`^(?:=== (?:RUN|PAUSE|CONT|NAME) |--- (PASS|FAIL|SKIP): (\S+))`)
	skipPattern    = regexp.MustCompile(`SKIPPED\b.*`)
	errNoEnd       = errors.New("the machine was turned off or crashed before the tests had ended")
	errNoTests     = errors.New("no test has run")
)

// read looks through what a console has shown. Without an exit code, or without a
// single test that has passed, it is a failure, whatever else is there.
func read(text string) result {
	r := result{err: errNoEnd, ended: make(map[string]bool)}
	seen := make(map[string]bool)
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		before, said, marked := strings.Cut(line, testMark)
		if marked {
			line = before
			r.verdict(said)
		}
		if skip := skipPattern.FindString(line); skip != "" && !seen[skip] {
			seen[skip] = true
			r.skips = append(r.skips, skip)
		}
		// The firmware does not end its last line.
		switch what, value := cutMark(line); {
		case what == console.Kernel:
			r.kernel, r.told = value, nil // what the firmware has said is of no interest
		case what == console.Broken:
			r.err = errors.New(value)
		case what == console.Exit:
			r.exit(value)
		case strings.TrimSpace(line) != "":
			r.told = append(r.told, line)
		}
	}
	return r
}

// cutMark looks for a mark of the init in a line, and returns what follows.
func cutMark(line string) (mark, value string) {
	for _, mark := range []string{console.Kernel, console.Broken, console.Exit} {
		if _, value, found := strings.Cut(line, mark); found {
			return mark, value
		}
	}
	return "", ""
}

// verdict counts a test, and keeps what tells more than that it runs or has passed.
func (r *result) verdict(said string) {
	said = strings.TrimLeft(said, " "+testMark)
	match := verdictPattern.FindStringSubmatch(said)
	if match == nil {
		r.told = append(r.told, said)
		return
	}
	if match[1] != "" {
		r.ended[match[2]] = true
	}
	switch match[1] {
	case "PASS":
		r.passed++
	case "FAIL":
		r.failed++
		r.told = append(r.told, said)
	case "SKIP":
		r.skipped++
	}
}

// missing returns an error if a test has not ended, be it because it was not there.
func (r *result) missing(tests []string) error {
	for _, test := range tests {
		if !r.ended[test] {
			return fmt.Errorf("%s has not run to its end", test)
		}
	}
	return nil
}

func (r *result) exit(code string) {
	number, err := strconv.Atoi(code)
	switch {
	case err != nil:
		r.err = err
	case number != 0 || r.failed > 0:
		r.err = fmt.Errorf("exit code %d", number)
	case r.passed == 0:
		r.err = errNoTests
	default:
		r.err = nil
	}
}
