// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package certificates

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// Connect connects to a gateway with mutual TLS, as an agent does.
func Connect(t *testing.T, endpoint string, files Files) *grpc.ClientConn {
	t.Helper()
	connection, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(clientTLS(t, files)))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, connection.Close()) })
	return connection
}

// clientTLS returns the TLS credentials of an agent.
func clientTLS(t *testing.T, c Files) credentials.TransportCredentials {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	require.NoError(t, err)
	authorities := x509.NewCertPool()
	text, err := os.ReadFile(c.CA)
	require.NoError(t, err)
	require.True(t, authorities.AppendCertsFromPEM(text))
	return credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{pair}, RootCAs: authorities, MinVersion: tls.VersionTLS13,
	})
}
