// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Real backends, and collectors with the configurations of configs/, beside each
// other on one machine.

// freeAddress is one that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", freePort(t))
}

// startConfigured runs the collector with a file of configs/ until the test ends. What
// environment does not say is chosen so that several run side by side; arguments adds
// files that change something (see overlay).
func startConfigured(t *testing.T, path string, environment map[string]string, options ...func(*exec.Cmd)) *collector {
	t.Helper()
	port := freePort(t)
	all := map[string]string{
		"METRICS_HOST": "127.0.0.1", "METRICS_PORT": strconv.Itoa(port),
		"HEALTH_ENDPOINT": freeAddress(t), "LISTEN_ENDPOINT": freeAddress(t),
	}
	maps.Copy(all, environment)
	if all["STORAGE_DIRECTORY"] == "" {
		all["STORAGE_DIRECTORY"] = t.TempDir()
	}
	c := startCommand(t, port, append([]func(*exec.Cmd){func(command *exec.Cmd) {
		command.Args = append(command.Args, "--config", filepath.Join("..", path))
		command.Env = os.Environ()
		for name, value := range all {
			command.Env = append(command.Env, name+"="+value)
		}
		attributes(command).Pdeathsig = syscall.SIGTERM // if the test is interrupted
	}}, options...)...)
	c.ready()
	return c
}

// Where it counts how often something comes: nothing is sent again only because this
// machine is busy.
const (
	patientAgent   = `exporters: {otlp_grpc: {timeout: 60s}}`
	patientGateway = `exporters: {otlp_http/logs: {timeout: 60s}}`
	patientElastic = `exporters: {elasticsearch: {timeout: 60s}}`
)

// overlay is a configuration that changes some keys of another.
func overlay(t *testing.T, format string, values ...any) func(*exec.Cmd) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "overlay.yaml")
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, format, values...), 0o600))
	return arguments("--config", path)
}

// restart runs a collector that has ended once more, with the same storage and at the
// same addresses.
func (c *collector) restart() *collector {
	c.t.Helper()
	before := c.command
	again := startCommand(c.t, c.metricsPort, func(command *exec.Cmd) {
		command.Path, command.Args, command.Env, command.SysProcAttr = before.Path, before.Args, before.Env, before.SysProcAttr
	})
	again.ready()
	return again
}

// certificates are the paths of files in PEM.
type certificates struct{ ca, cert, key string }

// environment is what the files of configs/ read the paths from.
func (c certificates) environment() map[string]string {
	return map[string]string{"TLS_CA_FILE": c.ca, "TLS_CERT_FILE": c.cert, "TLS_KEY_FILE": c.key}
}

// newCertificates makes an authority and one certificate of it, for both sides of a
// connection to this machine.
func newCertificates(t *testing.T) certificates {
	t.Helper()
	directory := t.TempDir()
	authority := &x509.Certificate{
		Subject: pkix.Name{CommonName: "auditkill e2e authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign,
	}
	authorityKey := newKey(t)
	leaf := &x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	leafKey := newKey(t)
	der, err := x509.MarshalPKCS8PrivateKey(leafKey)
	require.NoError(t, err)
	return certificates{
		ca:   writePEM(t, directory, "ca.pem", "CERTIFICATE", sign(t, authority, authority, authorityKey, authorityKey)),
		cert: writePEM(t, directory, "cert.pem", "CERTIFICATE", sign(t, leaf, authority, leafKey, authorityKey)),
		key:  writePEM(t, directory, "key.pem", "PRIVATE KEY", der),
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// sign returns a certificate that is valid for an hour.
func sign(t *testing.T, certificate, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) []byte {
	t.Helper()
	certificate.SerialNumber = big.NewInt(time.Now().UnixNano())
	certificate.NotBefore, certificate.NotAfter = time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
	der, err := x509.CreateCertificate(rand.Reader, certificate, parent, &key.PublicKey, parentKey)
	require.NoError(t, err)
	return der
}

func writePEM(t *testing.T, directory, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(directory, name)
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

// server is a backend in a process of its own.
type server struct {
	t *testing.T
	// address is where it listens, and data the folder with what it keeps.
	address, data string

	path      string
	arguments []string
	// health is the path that answers once it is ready.
	health  string
	command *exec.Cmd
	output  *output
	// ended is closed once the process is gone.
	ended chan struct{}
}

// serve runs the server until the test ends.
func (s *server) serve() {
	s.t.Helper()
	s.output = new(output)
	s.t.Cleanup(func() {
		s.kill()
		if s.t.Failed() {
			s.t.Logf("%s said:\n%s", filepath.Base(s.path), s.output.tail())
		}
	})
	s.restart()
}

// restart runs the server, for the first time or again, where it was and with what it
// has kept.
func (s *server) restart() {
	s.t.Helper()
	s.command = exec.Command(s.path, s.arguments...) //nolint:gosec // a backend that was built for the test
	s.command.Stdout, s.command.Stderr = s.output, s.output
	attributes(s.command).Pdeathsig = syscall.SIGKILL // if the test is interrupted
	s.ended = make(chan struct{})
	require.NoError(s.t, s.command.Start())
	go func(command *exec.Cmd, ended chan struct{}) {
		defer close(ended)
		_ = command.Wait() // the state tells
	}(s.command, s.ended)
	name := filepath.Base(s.path)
	eventually(s.t, func() bool {
		_, err := s.get(s.health, nil)
		return err == nil || s.gone()
	}, "%s is ready", name)
	require.False(s.t, s.gone(), "%s has ended", name)
}

func (s *server) gone() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// stop ends the server as systemd would.
func (s *server) stop() {
	s.t.Helper()
	require.NoError(s.t, s.command.Process.Signal(syscall.SIGTERM))
	<-s.ended
	assert.Equal(s.t, 0, s.command.ProcessState.ExitCode(), "exit code")
}

// kill ends it without giving it a chance, if it is there at all.
func (s *server) kill() {
	if s.ended == nil {
		return // never began
	}
	_ = s.command.Process.Kill() // it may have ended
	<-s.ended
}

// get returns a successful answer.
func (s *server) get(path string, question url.Values) ([]byte, error) {
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet,
		"http://"+s.address+path+"?"+question.Encode(), http.NoBody)
	if err != nil {
		return nil, err
	}
	return do(request)
}

// buildTool returns the path of a program that a module beside this one names as its
// tool. Where it was never built, that comes first; from then on it is in Go's cache.
func buildTool(t *testing.T, module, name string) string {
	t.Helper()
	build := exec.CommandContext(t.Context(), "go", "tool", "-n", name)
	build.Dir, build.Stderr = module, new(output)
	path, err := build.Output()
	require.NoError(t, err, "%s cannot be built: %s", name, build.Stderr)
	return strings.TrimSpace(string(path))
}
