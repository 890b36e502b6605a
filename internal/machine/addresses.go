// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"net"
	"net/netip"
)

// maxAddresses bounds the addresses of a host. A node with many containers has an interface for each, but of more than
// these none is looked at (connector/killincident).
const maxAddresses = 64

// Addresses returns the addresses by which other hosts can reach the network namespace of this process, at most
// maxAddresses, as texts: neither those of the loopback nor link-local ones, which each host has for itself.
func Addresses() []any {
	all, _ := net.InterfaceAddrs() // what cannot be listed is not known
	return global(all)
}

func global(all []net.Addr) (addresses []any) {
	for _, address := range all {
		prefix, err := netip.ParsePrefix(address.String())
		if err == nil && prefix.Addr().IsGlobalUnicast() && len(addresses) < maxAddresses {
			addresses = append(addresses, prefix.Addr().String())
		}
	}
	return addresses
}
