// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSockets(t *testing.T) {
	seen := map[string]bool{}
	for _, socket := range Sockets() {
		require.NoError(t, CheckSocket(socket), socket)
		assert.False(t, seen[socket], socket)
		seen[socket] = true
	}
}

func TestCheckSocket(t *testing.T) {
	for socket, want := range map[string]string{
		"/run/my.sock":                  "",
		"/run/my.sock.*":                "",
		"/run/user/*/my.sock":           "",
		"/" + strings.Repeat("x", 106):  "",
		"/" + strings.Repeat("x", 107):  "no more than 107 bytes",
		"":                              "absolute",
		"my.sock":                       "absolute",
		"@abstract":                     "absolute",
		"/run/*/my.sock":                "one *",
		"/run/user/*/my.sock.*":         "one *",
		"/run/user/*/*":                 "one *",
		"/run/my\x00sock":               "one *",
		"/run/user/*":                   "",
		"/home/*/.podman/podman.sock.*": "one *",
	} {
		err := CheckSocket(socket)
		if want == "" {
			require.NoError(t, err, socket)
			continue
		}
		require.ErrorContains(t, err, want, socket)
	}
}
