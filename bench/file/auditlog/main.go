// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Command auditlog makes a large audit log from a recorded one.
//
// It repeats the recording, and moves the times and serials on each time, as on a
// host that runs for longer. If the recording were repeated unchanged, the log would
// have each event many times: a tool that joins records by time and serial would join
// records of different repetitions, or wait for records that never come. ausearch takes
// twice as long for such a log (-plain).
package main

import (
	"bufio"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	from := flag.String("from", "testdata/mixed.log.gz", "the recording, compressed with gzip")
	size := flag.Int64("size", 1<<30, "the minimum number of bytes to write")
	plain := flag.Bool("plain", false, "repeat it unchanged, including times and serials")
	killsOnly := flag.Bool("kills-only", false, "leave out the events without a target")
	flag.Parse()
	if err := run(*from, *size, *plain, *killsOnly); err != nil {
		fmt.Fprintln(os.Stderr, "auditlog:", err)
		os.Exit(1)
	}
}

func run(from string, size int64, plain, killsOnly bool) error {
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	var text strings.Builder
	if _, err = io.Copy(&text, io.LimitReader(unzipped, maxRecording)); err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	recorded, err := newRecording(text.String(), killsOnly)
	if err != nil {
		return fmt.Errorf("%s: %w", from, err)
	}
	if plain {
		recorded.seconds, recorded.serials = 0, 0
	}
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	return errors.Join(recorded.repeat(out, size), out.Flush())
}

// maxRecording is larger than any recording in testdata.
const maxRecording = 1 << 30
