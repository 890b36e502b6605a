// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Command counts runs the benchmarks of the hot paths, and fails if one of them needs more than is on record: memory and
// allocations, and the bytes of an event that goes out. Unlike times, these are the same on any machine.
//
// It is run in the root of the repository. With -update it puts what it has counted on record.
package main

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
)

const (
	// record is where the counts are kept, in the format of benchmarks (golang.org/design/14313-benchmark-format).
	record = "bench/counts.txt"
	// tolerance is how much more is no failure.
	tolerance = 0.05
)

// path is a hot path: the benchmarks of a package, and how often they run, which is enough for what is allocated once to
// disappear.
type path struct{ folder, pattern, runs string }

func paths() []path {
	return []path{
		{"./internal/logfile", "^BenchmarkScan", "20x"}, // each time a whole log
		{"./internal/correlate", "^Benchmark(Other|OtherStart|Statement|Event)$", "20000x"},
		{"./internal/process", "^BenchmarkFillTable$/^looked_at_in_the_batch$", "20000x"},
		{"./internal/source/ebpfsource", "^Benchmark(Signal|Life|Death)$", "20000x"},
		{"./internal/capture", "^BenchmarkHold$", "20000x"},
		{"./internal/telemetry", "^BenchmarkAppend", "20000x"},
	}
}

// counted are the units that are counted.
func counted(unit string) bool { return unit == "B/op" || unit == "allocs/op" || unit == "out-B/op" }

// counts are what each benchmark has counted, by package, name and unit.
type counts map[string]float64

func main() {
	update := flag.Bool("update", false, "put on record what is counted")
	flag.Parse()
	if err := run(*update); err != nil {
		fmt.Fprintln(os.Stderr, "counts:", err)
		os.Exit(1)
	}
}

func run(update bool) error {
	got := counts{}
	var text bytes.Buffer
	for _, p := range paths() {
		out, err := bench(p)
		if err != nil {
			return err
		}
		found, err := parse(p.folder, bytes.NewReader(out), &text)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fmt.Errorf("%s: no benchmark has run, though %q should", p.folder, p.pattern)
		}
		maps.Copy(got, found)
	}
	if update {
		return os.WriteFile(record, text.Bytes(), 0o644) //nolint:gosec // for everybody
	}
	kept, err := os.Open(record)
	if err != nil {
		return err
	}
	defer func() { _ = kept.Close() }()
	want, err := parse("", kept, io.Discard)
	if err != nil {
		return err
	}
	return compare(got, want)
}

// bench runs the benchmarks of a package.
func bench(p path) ([]byte, error) {
	command := exec.Command("go", "test", "-run", "^$", "-bench", p.pattern, "-benchmem", "-benchtime", p.runs, p.folder) //nolint:gosec // see paths
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", p.folder, err, out)
	}
	return out, nil
}

// parse reads results, and writes what is counted of them. Those on record say their package themselves.
func parse(folder string, in io.Reader, out io.Writer) (counts, error) {
	found := counts{}
	reader, writer := benchfmt.NewReader(in, cmp.Or(folder, record)), benchfmt.NewWriter(out)
	for reader.Scan() {
		var result *benchfmt.Result
		switch line := reader.Result().(type) {
		case *benchfmt.Result:
			result = line.Clone()
		case *benchfmt.SyntaxError:
			return nil, line
		default:
			continue
		}
		of := result.GetConfig("pkg")
		result.Config = []benchfmt.Config{{Key: "pkg", Value: []byte(of), File: true}}
		result.Values = slices.DeleteFunc(result.Values, func(v benchfmt.Value) bool { return !counted(v.Unit) })
		result.Name = withoutProcessors(result.Name)
		for _, value := range result.Values {
			found[strings.Join([]string{filepath.Base(of), string(result.Name), value.Unit}, " ")] = value.Value
		}
		if err := writer.Write(result); err != nil {
			return nil, err
		}
	}
	return found, reader.Err()
}

// withoutProcessors removes the number of processors, which is another one elsewhere.
func withoutProcessors(name benchfmt.Name) benchfmt.Name {
	_, parts := name.Parts()
	if len(parts) == 0 || parts[len(parts)-1][0] != '-' {
		return name
	}
	return benchfmt.Name(bytes.TrimSuffix(name, parts[len(parts)-1]))
}

// compare returns an error that names what has become dearer, is not on record, or was not counted.
func compare(got, want counts) error {
	var all []error
	for _, name := range slices.Sorted(maps.Keys(got)) {
		before, known := want[name]
		switch {
		case !known:
			all = append(all, fmt.Errorf("%s: %g, which is not on record", name, got[name]))
		case got[name] > before*(1+tolerance):
			all = append(all, fmt.Errorf("%s: %g instead of %g", name, got[name], before))
		case got[name] < before*(1-tolerance):
			fmt.Printf("cheaper: %s: %g instead of %g\n", name, got[name], before)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if _, ran := got[name]; !ran {
			all = append(all, fmt.Errorf("%s: is on record, but was not counted", name))
		}
	}
	if len(all) > 0 {
		all = append(all, errors.New("if that must be so, put it on record with `make counts UPDATE=-update`"))
	}
	return errors.Join(all...)
}
