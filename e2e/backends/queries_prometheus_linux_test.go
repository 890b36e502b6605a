// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend"
	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/loki"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// The rules for Prometheus fire as their tests say, and not without one of their conditions. promtool comes from Loki's module, which
// has nearly all that it is built from, so it is asked for only where Loki is.
func TestQueriesPrometheusAlerts(t *testing.T) {
	t.Parallel()
	loki.Need(t)
	promtool := backend.BuildTool(t, "loki", "promtool")
	rules, err := os.ReadFile(harness.Path("deploy/queries/prometheus/rules.yaml"))
	require.NoError(t, err)
	const ofHours, ofADay = "tests.yaml", "tests-day.yaml"
	var all strings.Builder
	tests := make(map[string][]byte)
	for _, name := range []string{ofHours, ofADay} {
		tests[name], err = os.ReadFile(harness.Path("deploy/queries/prometheus", name))
		require.NoError(t, err)
		all.Write(tests[name])
	}
	require.Equal(t, strings.Count(string(rules), "- alert: "), alertsIn(all.String()), "each alert is in a file of tests")
	for name, test := range map[string]struct{ condition, instead, tests string }{
		"as shipped":             {tests: ofHours},
		"as shipped, for a day":  {tests: ofADay},
		"new series":             {"(kill_incident_signals_total unless", "(kill_incident_signals_total unless kill_incident_signals_total unless", ofHours},
		"series of an hour ago":  {"last_over_time(kill_incident_signals_total[1h] offset 5m)", "kill_incident_signals_total offset 5m", ofHours},
		"two replicas":           {"max without (instance)", "sum without (instance)", ofHours},
		"two tiers":              {"max without (instance)", "max without (instance, job)", ofHours},
		"shutdown":               {`{kill_cause!~"shutdown|session_end"}`, "", ofHours},
		"timeouts":               {`{kill_cause=~"watchdog|start_timeout|runtime_limit"}`, "", ofHours},
		"crashes":                {`{kill_outcome="core_dumped"}`, "", ofHours},
		"a usual burst":          {"> 10 * avg_over_time", "> 0 * avg_over_time", ofADay},
		"three hosts":            {") >= 3", ") >= 2", ofADay},
		"busy hosts":             {"> 5 * sum", "> 0 * sum", ofADay},
		"storms":                 {"> 1000", "> 10", ofHours},
		"tampering":              {`{event_name="kill.tamper"}`, "", ofHours},
		"other jobs":             {`{job=~".*auditkill.*"}`, "", ofHours},
		"losses":                 {"otelcol_receiver_audit_kill_ring_dropped[5m])) > 0", "otelcol_receiver_audit_kill_ring_dropped[5m])) > 10", ofHours},
		"bytes behind":           {"> 64 * 1024 * 1024", "> 64", ofHours},
		"some unreadable lines":  {"> 100", "> 1", ofHours},
		"a queue that is filled": {"> 0.8", "> 0.95", ofHours},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Contains(t, string(rules), test.condition)
			directory := t.TempDir()
			changed := string(rules)
			if test.condition != "" {
				changed = strings.ReplaceAll(changed, test.condition, test.instead)
			}
			require.NoError(t, os.WriteFile(filepath.Join(directory, "rules.yaml"), []byte(changed), 0o600))
			require.NoError(t, os.WriteFile(filepath.Join(directory, "tests.yaml"), tests[test.tests], 0o600))
			said, err := exec.CommandContext(t.Context(), promtool, "test", "rules", filepath.Join(directory, "tests.yaml")).CombinedOutput() //nolint:gosec // was just built
			assert.Equal(t, test.condition == "", err == nil, "%s", said)
		})
	}
	t.Run("check", func(t *testing.T) {
		t.Parallel()
		said, err := exec.CommandContext(t.Context(), promtool, "check", "rules", "--lint=all", "--lint-fatal", //nolint:gosec // was just built
			harness.Path("deploy/queries/prometheus/rules.yaml")).CombinedOutput()
		assert.NoError(t, err, "%s", said)
	})
}

// alertsIn counts the different alerts of a file of tests that fire in it.
func alertsIn(tests string) int {
	fire := make(map[string]bool)
	for _, part := range strings.Split(tests, "alertname: ")[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		if strings.HasPrefix(strings.TrimSpace(rest), "exp_alerts:\n") {
			fire[name] = true
		}
	}
	return len(fire)
}
