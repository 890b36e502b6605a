// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Authority signs the certificates of both sides.
type Authority struct {
	t           *testing.T
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	der         []byte
}

// NewAuthority returns a new certificate authority.
func NewAuthority(t *testing.T) *Authority {
	t.Helper()
	a := &Authority{t: t, key: newKey(t), certificate: &x509.Certificate{
		Subject: pkix.Name{CommonName: "auditkill e2e authority"}, IsCA: true, BasicConstraintsValid: true,
		SerialNumber: big.NewInt(1), KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(time.Hour),
	}}
	var err error
	a.der, err = x509.CreateCertificate(rand.Reader, a.certificate, a.certificate, &a.key.PublicKey, a.key)
	require.NoError(t, err)
	return a
}

// Issue returns a certificate for a name and, optionally, addresses. It expires after the given time,
// and has already expired if that is negative.
func (a *Authority) Issue(name string, valid time.Duration, addresses ...net.IP) *Files {
	a.t.Helper()
	key, directory := newKey(a.t), a.t.TempDir()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: addresses,
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		KeyUsage:     x509.KeyUsageDigitalSignature, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(valid),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.certificate, &key.PublicKey, a.key)
	require.NoError(a.t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(a.t, err)
	return &Files{
		CA:   writePEM(a.t, directory, "ca.pem", "CERTIFICATE", a.der),
		Cert: writePEM(a.t, directory, "cert.pem", "CERTIFICATE", der),
		Key:  writePEM(a.t, directory, "key.pem", "PRIVATE KEY", private),
	}
}
