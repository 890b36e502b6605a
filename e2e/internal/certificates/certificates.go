// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package certificates makes TLS certificates for agents and gateways.
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

// Files holds the paths of PEM files.
type Files struct{ CA, Cert, Key string }

// Environment returns the environment variables through which the files in configs/ get these paths.
func (c Files) Environment() map[string]string {
	return map[string]string{"TLS_CA_FILE": c.CA, "TLS_CERT_FILE": c.Cert, "TLS_KEY_FILE": c.Key}
}

// New makes an authority and one certificate for localhost, which both sides of a connection use.
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

// With returns the given environment variables, and those with the paths of the certificates.
func (c Files) With(all ...map[string]string) map[string]string {
	environment := c.Environment()
	for _, some := range all {
		maps.Copy(environment, some)
	}
	return environment
}
