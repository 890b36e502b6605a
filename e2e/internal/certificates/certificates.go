// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package certificates makes the certificates of agents and gateways.
package certificates

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"maps"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Files are the paths of files in PEM.
type Files struct{ CA, Cert, Key string }

// Environment is what the files of configs/ read the paths from.
func (c Files) Environment() map[string]string {
	return map[string]string{"TLS_CA_FILE": c.CA, "TLS_CERT_FILE": c.Cert, "TLS_KEY_FILE": c.Key}
}

// New makes an authority and one certificate of it, for both sides of a
// connection to this machine.
func New(t *testing.T) Files {
	t.Helper()
	return *NewAuthority(t).Issue("localhost", time.Hour, net.IPv4(127, 0, 0, 1))
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

func writePEM(t *testing.T, directory, name, kind string, der []byte) string {
	t.Helper()
	path := filepath.Join(directory, name)
	require.NoError(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

// With returns an environment with the paths of the certificates.
func (c Files) With(all ...map[string]string) map[string]string {
	environment := c.Environment()
	for _, some := range all {
		maps.Copy(environment, some)
	}
	return environment
}
