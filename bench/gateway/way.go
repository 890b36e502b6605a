// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

const patience = time.Minute

// gateway is a collector with a shipped configuration.
type gateway struct {
	binary, config string
	// variables are added to its environment.
	variables []string
}

// way is a running tier.
type way struct {
	folder       string
	certificates *certificates
	backend      *backend
	// collectors are in the order of the tier.
	collectors []*collector
	// address is the address that agents send to.
	address string
}

// collector is a running collector.
type collector struct {
	command *exec.Cmd
	said    bytes.Buffer
	process procfs.Proc
}

func open(t tier) (w *way, err error) {
	folder, err := os.MkdirTemp("", "gateway")
	if err != nil {
		return nil, err
	}
	w = &way{folder: folder}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.close())
		}
	}()
	if w.certificates, err = newCertificates(folder); err != nil {
		return w, err
	}
	w.backend = startBackend()
	// Starts with the last one, because each collector must know the port of the next one.
	next := 0
	for i := len(t.collectors) - 1; i >= 0; i-- {
		if next, err = w.start(t.collectors[i], next); err != nil {
			return w, err
		}
	}
	w.address = fmt.Sprintf("passthrough:///127.0.0.1:%d", next) // without name resolution
	return w, nil
}

// start runs a collector that sends to the port next or to the backend, and returns
// the port that it listens at.
func (w *way) start(g gateway, next int) (int, error) {
	ports, err := freePorts(3)
	if err != nil {
		return 0, err
	}
	listen, health, metrics := ports[0], ports[1], ports[2]
	c := &collector{command: exec.Command(g.binary, "--config", g.config)} //nolint:gosec // the program that is measured
	c.command.Env = append(os.Environ(),
		fmt.Sprintf("LISTEN_ENDPOINT=127.0.0.1:%d", listen),
		fmt.Sprintf("HEALTH_ENDPOINT=127.0.0.1:%d", health),
		fmt.Sprintf("METRICS_PORT=%d", metrics),
		"GATEWAYS_HOST=127.0.0.1", fmt.Sprintf("GATEWAYS_PORT=%d", next),
		"STORAGE_DIRECTORY="+filepath.Join(w.folder, strconv.Itoa(listen)),
		"LOGS_ENDPOINT="+w.backend.url, "TRACES_ENDPOINT="+w.backend.url, "METRICS_ENDPOINT="+w.backend.url,
		"TLS_CA_FILE="+w.certificates.ca, "TLS_CERT_FILE="+w.certificates.cert, "TLS_KEY_FILE="+w.certificates.key,
	)
	c.command.Env = append(c.command.Env, g.variables...)
	c.command.Stderr = &c.said
	c.command.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGTERM}
	err = c.command.Start()
	if err != nil {
		return 0, err
	}
	w.collectors = append([]*collector{c}, w.collectors...)
	if c.process, err = procfs.NewProc(c.command.Process.Pid); err != nil {
		return 0, err
	}
	return listen, c.await(health)
}

// first returns the collector that agents send to.
func (w *way) first() *collector { return w.collectors[0] }

func (w *way) close() error {
	var errs error
	for _, c := range w.collectors {
		errs = errors.Join(errs, c.stop())
	}
	if w.backend != nil {
		w.backend.server.Close()
	}
	return errors.Join(errs, os.RemoveAll(w.folder))
}

// await waits until the collector is ready.
func (c *collector) await(port int) error {
	for start := time.Now(); time.Since(start) < patience; time.Sleep(50 * time.Millisecond) {
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port)) //nolint:noctx // the loop ends after its patience
		if err != nil {
			continue
		}
		if err = response.Body.Close(); err == nil && response.StatusCode == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("%s never became ready", c.command)
}

// cpu returns the CPU time that the collector has used.
func (c *collector) cpu() time.Duration {
	stat, err := c.process.Stat()
	if err != nil {
		return 0
	}
	return time.Duration(stat.CPUTime() * float64(time.Second))
}

// memory returns the resident memory of the collector in bytes, without mapped files such as
// its queue.
func (c *collector) memory() uint64 {
	status, err := c.process.NewStatus()
	if err != nil {
		return 0
	}
	return status.RssAnon
}

func (c *collector) stop() error {
	err := c.command.Process.Signal(unix.SIGTERM)
	if err == nil {
		err = c.command.Wait()
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %s", c.command, err, c.said.Bytes())
	}
	return nil
}

func freePorts(n int) ([]int, error) {
	ports := make([]int, n)
	for i := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // does not block
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		ports[i] = listener.Addr().(*net.TCPAddr).Port
	}
	return ports, nil
}
