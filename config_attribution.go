// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"fmt"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
)

// longestAttribution bounds how long signals of managers are kept back.
const longestAttribution = 10 * time.Second

// AttributionConfig says whether to find out who is behind a signal whose sender only carries it out.
type AttributionConfig struct {
	Enabled bool `mapstructure:"enabled"`
	// Timeout is how long the targets of a manager's signal wait for who asked for it.
	Timeout time.Duration `mapstructure:"timeout"`
	// Sockets are the Unix sockets of further managers.
	Sockets []SocketPath `mapstructure:"sockets"`

	_ struct{} // prevent unkeyed literal initialization
}

// SocketPath is the path of a Unix socket.
type SocketPath string

// Validate implements confmap.Validator.
func (c *AttributionConfig) Validate() error {
	var problems []string
	if c.Enabled && (c.Timeout < shortest || c.Timeout > longestAttribution) {
		problems = append(problems, fmt.Sprintf("timeout: %v must be from %v to %v, such as 200ms", c.Timeout, shortest, longestAttribution))
	}
	seen := map[SocketPath]bool{}
	for i, path := range c.Sockets {
		if seen[path] {
			problems = append(problems, fmt.Sprintf("sockets::%d: %q is there twice, leave it out", i, path))
		}
		seen[path] = true
	}
	return refuse(problems)
}

// Validate implements confmap.Validator.
func (p SocketPath) Validate() error {
	switch {
	case !strings.HasPrefix(string(p), "/"):
		return fmt.Errorf("%q must be an absolute path, such as /run/supervisor.sock", string(p))
	case len(p) > longestSocket:
		return fmt.Errorf("%q must have at most %d bytes, as the path of a Unix socket", string(p), longestSocket)
	}
	if err := attribution.CheckSocket(string(p)); err != nil {
		return fmt.Errorf("%q %w", string(p), err)
	}
	return nil
}

func (c *AttributionConfig) paths() []string {
	var paths []string
	for _, path := range c.Sockets {
		paths = append(paths, string(path))
	}
	return paths
}
