// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Command auditlog makes a large audit log out of a recorded one.
//
// It repeats the recording, each time with the times and the serials moved on,
// as they would be on a host that runs for longer: repeated as it stands, the
// log would hold each event many times, and a tool that joins records by time
// and serial would join records of different repetitions, or look for a late
// one where there is none. ausearch takes twice as long for such a log (-plain).
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
	from := flag.String("from", "testdata/mixed.log.gz", "the recording, gzip")
	size := flag.Int64("size", 1<<30, "how many bytes to write at least")
	plain := flag.Bool("plain", false, "repeat it as it stands, times and serials too")
	killsOnly := flag.Bool("kills-only", false, "leave out the events that hit no process")
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

// maxRecording is more than any recording in testdata holds.
const maxRecording = 1 << 30
