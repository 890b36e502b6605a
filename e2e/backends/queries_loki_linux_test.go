// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend"
	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/loki"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

var lokiWeakenings = []weakening{
	{` | event_name="kill.signal"`, ""},
	{` | event_name="kill.abend"`, ""},
	{` | event_name="kill.tamper"`, ""},
	{` | severity_number>=13`, ""},
	{` | kill_target_name=~"mysqld"`, ""},
	{`process_executable_path!=""`, `process_executable_path=~".*"`},
	{`"SIGHUP|SIGUSR1|SIGUSR2"`, `"SIGUSR1|SIGUSR2"`},
	{`"SIGHUP|SIGUSR1|SIGUSR2"`, `"SIGHUP|SIGUSR2"`},
	{`"SIGHUP|SIGUSR1|SIGUSR2"`, `"SIGHUP|SIGUSR1"`},
	{`(/usr)?/lib/systemd/systemd|`, ""},
	{`|containerd-shim-runc-v2|`, "|"},
	{` or kill_sender_mount_namespace!=""`, ""},
	{`, kill_sender_mount_namespace`, ""},
	{`user_id!=""`, `user_id=~".*"`},
	{`>= 3`, ">= 2"},
	{`[6m]`, "[4m]"},
	{`[6m]`, "[7m]"},
	{`[1h]`, "[2h]"},
	{` | kill_cause="oom"`, ""},
	{` | kill_escalated="true"`, ""},
	{` | kill_result="success"`, ""},
	{` | kill_result="failure"`, ""},
	{`kill_target_start_time) (` + "\n  min_over_time", `kill_target_start_time) (` + "\n  max_over_time"},
	{"\n) > 0", "\n)"},
	{` | kill_complete="false"`, ""},
	{"\nunless\n", "\nor\n"},
}

// Loki gives the right answers to the queries of its dashboard and rules, and to the documented command.
func TestQueriesLoki(t *testing.T) {
	l := startRuler(t)
	now := startFleet(t, "http://"+l.Address+"/otlp", func() ([]map[string]string, error) { return l.TryAsk(`{service_name="auditkill"}`) })

	panels := readPanels(t)
	assert.Len(t, panels, len(questions))
	for name, q := range questions {
		t.Run(name, func(t *testing.T) {
			panel := panels[q.title]
			require.NotEmpty(t, panel.Expr)
			ask := func(t *testing.T, query string) tally {
				t.Helper()
				return askPanel(t, l, query, panel, now, &q)
			}
			askAll(t, panel.filled(".+"), q.truth, lokiWeakenings, ask)
			if strings.Contains(panel.Expr, "$host") {
				assert.Empty(t, ask(t, panel.filled("host-40")), "records of another host")
			}
		})
	}

	t.Run("documented command", func(t *testing.T) {
		q := questions["who-killed"]
		said := runDocumented(t, "loki", "https://loki.example.com:3100", "http://"+l.Address)
		assert.Equal(t, q.truth, vectorOf(t, said, labels(q.fields)))
	})

	var rules rulesFile
	harness.ReadYAML(t, "deploy/queries/loki/rules.yaml", &rules)
	healthy := map[string]int{"ok": 0}
	for _, group := range rules.Groups {
		healthy["ok"] += len(group.Rules)
	}
	harness.Eventually(t, func() bool { return maps.Equal(healthy, l.Health()) }, "the ruler has evaluated %v: %v", healthy, l.Health())
	forEachRule(t, rules, func(t *testing.T, rule ruleOne, interval time.Duration, q *question, want tally) {
		t.Helper()
		askAll(t, rule.Expr, want, lokiWeakenings, func(t *testing.T, expr string) tally {
			t.Helper()
			return askOver(t, l, expr, now.Add(-30*time.Minute), now, interval, q.fields)
		})
	})
}

// dashboardPanel is a panel of the dashboard for Grafana.
type dashboardPanel struct {
	Type              string
	Expr, Query, Step string
}

// filled returns the query after Grafana has filled in the variables, for mysqld in the last hour.
func (p *dashboardPanel) filled(host string) string {
	return strings.NewReplacer("$__range", "1h", "$target", "mysqld", "$host", host).Replace(p.Expr)
}

// readPanels returns the panels of the dashboard by their titles.
func readPanels(t *testing.T) map[string]dashboardPanel {
	t.Helper()
	text, err := os.ReadFile(harness.Path("deploy", "queries", "loki", "dashboard.json"))
	require.NoError(t, err)
	var dashboard struct {
		Panels []struct {
			Title       string `json:"title"`
			Description string `json:"description"`
			Type        string `json:"type"`
			Targets     []struct {
				Expr      string `json:"expr"`
				QueryType string `json:"queryType"`
				Step      string `json:"step"`
			} `json:"targets"`
		} `json:"panels"`
	}
	require.NoError(t, json.Unmarshal(text, &dashboard))
	panels := make(map[string]dashboardPanel)
	for _, p := range dashboard.Panels {
		require.Len(t, p.Targets, 1, "%s", p.Title)
		require.NotEmpty(t, p.Description, "%s", p.Title)
		panels[p.Title] = dashboardPanel{p.Type, p.Targets[0].Expr, p.Targets[0].QueryType, p.Targets[0].Step}
	}
	return panels
}

// askPanel runs a query as Grafana does for a panel with the last hour.
func askPanel(t *testing.T, l *loki.Loki, query string, panel dashboardPanel, now time.Time, q *question) tally {
	t.Helper()
	switch panel.Type {
	case "logs":
		got := make(tally)
		for _, row := range l.Ask(query) {
			if now.Sub(backend.TimeOf(t, row)) < time.Hour {
				got[joined(labels(q.fields), row)]++
			}
		}
		return got
	case "timeseries":
		step, err := time.ParseDuration(panel.Step)
		require.NoError(t, err)
		return askOver(t, l, query, now.Add(-time.Hour), now, step, q.fields)
	default:
		require.Equal(t, "instant", panel.Query)
		body, err := l.Get("/loki/api/v1/query", url.Values{"query": {query}, "time": {nanoseconds(now)}})
		require.NoError(t, err, "%s", query)
		return vectorOf(t, body, labels(q.fields))
	}
}

// askOver runs a query for every step from one time to another, and keeps the highest values.
func askOver(t *testing.T, l *loki.Loki, query string, from, to time.Time, step time.Duration, fields []string) tally {
	t.Helper()
	body, err := l.Get("/loki/api/v1/query_range", url.Values{
		"query": {query}, "start": {nanoseconds(from)}, "end": {nanoseconds(to)}, "step": {step.String()},
	})
	require.NoError(t, err, "%s", query)
	return vectorOf(t, body, labels(fields))
}

func nanoseconds(at time.Time) string { return strconv.FormatInt(at.UnixNano(), 10) }

// labels returns the labels that Loki makes from names of attributes.
func labels(fields []string) []string {
	named := make([]string, len(fields))
	for i, field := range fields {
		named[i] = strings.ReplaceAll(field, ".", "_")
		if field == "host.name" {
			named[i] = "service_instance_id"
		}
	}
	return named
}

var intervalPattern = regexp.MustCompile(`interval: \w+`)

// startRuler runs Loki with its rules. It evaluates them more often than shipped, so that the test
// need not wait.
func startRuler(t *testing.T) *loki.Loki {
	t.Helper()
	l := loki.Start(t)
	l.Kill()
	directory := t.TempDir()
	rules, err := os.ReadFile(harness.Path("deploy", "queries", "loki", "rules.yaml"))
	require.NoError(t, err)
	rules = intervalPattern.ReplaceAll(rules, []byte("interval: 1s"))
	require.NoError(t, os.Mkdir(filepath.Join(directory, "fake"), 0o700)) // the tenant of a Loki without tenants
	require.NoError(t, os.WriteFile(filepath.Join(directory, "fake", "rules.yaml"), rules, 0o600))
	l.Arguments = append(l.Arguments, "-ruler.storage.type=local", "-ruler.storage.local.directory="+directory,
		"-ruler.rule-path="+t.TempDir())
	l.Restart()
	return l
}
