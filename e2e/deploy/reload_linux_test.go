// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// reload runs the commands of ExecReload= as systemd does: one after the other, until one fails.
func reload(t *testing.T, c *collector.Collector, config string) (string, error) {
	t.Helper()
	commands := readUnit(t, harness.Path("deploy/systemd/otelcol-auditkill.service"))["ExecReload"]
	require.Len(t, commands, 2)
	for _, line := range commands {
		words := strings.Fields(strings.NewReplacer("/usr/bin/otelcol-auditkill", harness.Distribution(), packageConfig, config,
			"$MAINPID", strconv.Itoa(c.PID())).Replace(line))
		if said, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil { //nolint:gosec // what the unit says
			return string(said), err
		}
	}
	return "", nil
}

// A typo and a reload do not stop the service; without the typo it takes the new configuration.
func TestReload(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "config.yaml")
	write := func(target string) {
		t.Helper()
		text := "receivers: {audit_kill: {file: {path: " + harness.Path("testdata/seed.log") + ", start_at: beginning}, " + target + "}}\n" +
			"exporters: {debug: {verbosity: normal, use_internal_logger: false}}\n" +
			"service: {pipelines: {logs: {receivers: [audit_kill], exporters: [debug]}}, telemetry: {metrics: {level: none}}}\n"
		require.NoError(t, os.WriteFile(config, []byte(text), 0o600))
	}
	write("targets: [postgres]")
	c := collector.StartCommand(t, 0, collector.Arguments("--config", config))
	c.Says("Everything is ready")

	write("tragets: [mysqld]")
	said, err := reload(t, c, config)
	require.Error(t, err)
	assert.Contains(t, said, "tragets: unknown key")
	assert.False(t, c.Gone(), "the service goes on")
	assert.NotContains(t, c.Output.String(), "mysqld[3936]")

	write("targets: [mysqld]")
	said, err = reload(t, c, config)
	require.NoError(t, err, said)
	c.Says("sent SIGKILL to mysqld[3936]")
	c.Stop()
}

// gateway.conf names configurations that the shipped collector runs: those of configs/, which are all valid, and not of configs/fleet.
func TestGatewayDropInNamesShippedConfigurations(t *testing.T) {
	t.Parallel()
	names := regexp.MustCompile(`[\w/.-]+\.yaml|configs/\w+`).FindAllString(read(t, harness.Path("deploy/systemd/gateway.conf")), -1)
	require.NotEmpty(t, names)
	for _, name := range names {
		if filepath.Base(name) != "config.yaml" {
			assert.FileExists(t, harness.Path("configs", filepath.Base(name)), name)
		}
	}
}
