// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Command kernels runs the tests of everything that touches the kernel on
// Debian's stock kernels of other processors and of another age than the host's.
// QEMU emulates the machines, so that it takes neither rights nor hardware.
//
// It is run by `make test-kernels`. It is a part of the end-to-end tests because,
// like them, it looks at the product from outside, and needs nothing of it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// testPatience is more than the longest job takes on a host that has other things to
// do, and patience what it takes to turn the machine on and off, too.
const (
	testPatience = 12 * time.Minute
	patience     = testPatience + 3*time.Minute
)

var errFailed = errors.New("not all tests have passed")

func main() {
	architectures := flag.String("kernels", "amd64 arm64", "`architectures` of the kernels")
	only := flag.String("packages", "", "`folders` of packages to test, relative to the repository; e2e for the end-to-end tests; by default all")
	run := flag.String("run", "", "run only tests that match this `regexp`")
	flag.Parse()
	if err := testAll(strings.Fields(*architectures), strings.Fields(*only), *run); err != nil {
		fmt.Fprintln(os.Stderr, "kernels:", err)
		os.Exit(1)
	}
}

// testAll tests the kernels at the same time: much of a test is waiting.
func testAll(architectures, only []string, run string) error {
	repository, err := filepath.Abs("..") // as everything is built from the folder of its module
	if err != nil {
		return err
	}
	errs := make([]error, len(architectures))
	var testing sync.WaitGroup
	for i, architecture := range architectures {
		testing.Go(func() {
			s := &session{architecture: architecture, directory: filepath.Join(repository, "_build/kernels", architecture), run: run}
			if err := s.test(repository, only); err != nil {
				errs[i] = fmt.Errorf("%s: %w", architecture, err)
			}
		})
	}
	testing.Wait()
	return errors.Join(errs...)
}

// session is all that is run on one kernel.
type session struct {
	architecture, directory, run string
	total                        result
	broken                       bool
}

func (s *session) test(repository string, only []string) error {
	begin := time.Now()
	if _, known := machines[s.architecture]; !known {
		return fmt.Errorf("there is no machine for %q", s.architecture)
	}
	run, subtests := s.run, ""
	if slash := strings.IndexByte(run, '/'); slash >= 0 {
		run, subtests = run[:slash], run[slash:]
	}
	jobs, err := chosen(repository, only, run)
	if err != nil {
		return err
	}
	if err := (debian{s.architecture, s.directory}).prepare(); err != nil {
		return err
	}
	if err := s.layout(repository).write(s.disk(), jobs, subtests); err != nil {
		return err
	}
	fmt.Printf("%s: Debian's kernel and %d test programs are ready after %v\n", s.architecture, len(jobs), time.Since(begin).Round(time.Second))
	for i, j := range jobs {
		if err := s.twice(j, jobFile(i)); err != nil {
			return err
		}
	}
	fmt.Printf("%s: %d passed, %d failed, %d skipped on Linux %s, in %v\n",
		s.architecture, s.total.passed, s.total.failed, s.total.skipped, s.total.kernel, time.Since(begin).Round(time.Second))
	if s.broken {
		return errFailed
	}
	return nil
}

// disk is the image that each job finds at its first boot.
func (s *session) disk() string { return filepath.Join(s.directory, "disk.img") }

// twice runs a job again if it fails: an emulated processor can stand still for seconds while the host
// has other things to do. What fails only once is said as well.
func (s *session) twice(j job, file string) error {
	failed := s.total.failed
	passed, err := s.boots(j, file)
	if err != nil || passed {
		return err
	}
	fmt.Printf("%s: %s has FAILED and is run again\n", s.architecture, j.name())
	s.total.failed = failed
	passed, err = s.boots(j, file)
	s.broken = s.broken || !passed
	return err
}

// boots runs a job as many times as it has boots, and reports whether it passed. What the first
// of several leaves on the disk is there at the next, and not for other jobs.
func (s *session) boots(j job, file string) (bool, error) {
	if j.boots == 1 {
		return s.boot(j, file, s.disk(), 0)
	}
	own := s.disk() + ".own"
	defer os.Remove(own)
	if err := shell(`cp --sparse=always "$0" "$1"`, s.disk(), own); err != nil {
		return false, err
	}
	for number := range j.boots {
		if passed, err := s.boot(j, file, own, number); !passed || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (s *session) layout(repository string) layout {
	return layout{s.architecture, repository, filepath.Join(s.directory, "root"), filepath.Join(s.directory, "tree")}
}

// chosen returns the jobs for some packages, with the tests whose names match.
func chosen(repository string, only []string, run string) ([]job, error) {
	pattern, err := regexp.Compile(run)
	if err != nil {
		return nil, err
	}
	all, err := allJobs(repository)
	if err != nil {
		return nil, err
	}
	var jobs []job
	for _, j := range all {
		wanted := func(name string) bool {
			name = filepath.Clean(name)
			return name == j.folder || name == j.module && name != "."
		}
		if len(only) > 0 && !slices.ContainsFunc(only, wanted) {
			continue
		}
		j.tests = slices.DeleteFunc(j.tests, func(test string) bool { return !pattern.MatchString(test) })
		if len(j.tests) > 0 {
			jobs = append(jobs, j)
		}
	}
	if len(jobs) == 0 {
		return nil, fmt.Errorf("no test in %q that touches the kernel matches %q", only, run)
	}
	return jobs, nil
}

// boot runs a job in a machine, once, prints what came of it, and reports whether it passed.
func (s *session) boot(j job, file, disk string, number int) (bool, error) {
	begin := time.Now()
	name := j.name()
	if number > 0 {
		name += fmt.Sprintf(", boot %d", number+1)
	}
	logPath := filepath.Join(s.directory, "logs", strings.NewReplacer("/", "-", " ", "-", ",", "").Replace(name)+".log")
	if err := os.MkdirAll(filepath.Dir(logPath), 0o755); err != nil { //nolint:gosec // nothing secret
		return false, err
	}
	log, err := os.Create(logPath)
	if err != nil {
		return false, err
	}
	defer log.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var text strings.Builder
	worked, err := machines[s.architecture].boot(ctx, filepath.Join(s.directory, "vmlinuz"), disk,
		file, j.boots > 1, io.MultiWriter(log, &text))
	r := read(text.String())
	r.err = errors.Join(err, r.err, r.missing(j.tests))
	s.report(name, logPath, r, time.Since(begin), worked)
	return r.err == nil, nil
}

var printing sync.Mutex

func (s *session) report(name, log string, r result, took, worked time.Duration) {
	printing.Lock()
	defer printing.Unlock()
	s.total.kernel = r.kernel
	s.total.passed += r.passed
	s.total.failed += r.failed
	s.total.skipped += r.skipped
	verdict := "ok"
	if r.err != nil {
		verdict = "FAIL"
		fmt.Printf("%s\n%s: %s: %v; all that it said: %s\n", strings.Join(r.told, "\n"), s.architecture, name, r.err, log)
	}
	for _, skip := range r.skips {
		fmt.Printf("%s: %s\n", s.architecture, skip)
	}
	fmt.Printf("%-4s %s %-45s %4d passed %3d failed %3d skipped %6.1f s (%.1f s of processor time)\n",
		verdict, s.architecture, name, r.passed, r.failed, r.skipped, took.Seconds(), worked.Seconds())
}
