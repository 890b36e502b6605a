// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"maps"
	"math/big"
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
	return Files{
		CA:   writePEM(t, directory, "ca.pem", "CERTIFICATE", sign(t, authority, authority, authorityKey, authorityKey)),
		Cert: writePEM(t, directory, "cert.pem", "CERTIFICATE", sign(t, leaf, authority, leafKey, authorityKey)),
		Key:  writePEM(t, directory, "key.pem", "PRIVATE KEY", der),
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

// With returns an environment with the paths of the certificates.
func (c Files) With(all ...map[string]string) map[string]string {
	environment := c.Environment()
	for _, some := range all {
		maps.Copy(environment, some)
	}
	return environment
}
