// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"net"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestGlobal(t *testing.T) {
	t.Parallel()

	network := func(text string) net.Addr {
		address, prefix, err := net.ParseCIDR(text)
		require.NoError(t, err)
		return &net.IPNet{IP: address, Mask: prefix.Mask}
	}
	assert.Equal(t, []any{"192.0.2.15", "10.0.0.5", "2001:db8::1"}, global([]net.Addr{
		network("127.0.0.1/8"), network("192.0.2.15/24"), network("169.254.3.4/16"), network("10.0.0.5/8"), network("::1/128"),
		network("fe80::1/64"), network("2001:db8::1/64"),
	}))
	assert.Empty(t, global(nil))

	var many []net.Addr
	for range 2 * maxAddresses {
		many = append(many, network("10.0.0.5/8"))
	}
	assert.Len(t, global(many), maxAddresses)
}

func TestAddressesOfThisMachine(t *testing.T) {
	t.Parallel()
	for _, text := range Addresses() {
		address, err := netip.ParseAddr(text.(string))
		require.NoError(t, err)
		assert.False(t, address.IsLoopback(), text)
	}
}
