// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"path/filepath"
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
	{`| kill_cause!~"session_end|session_kill|terminal_key|parent_death|pid_namespace_end" or kill_requester_name!=""`, ""},
	{` or kill_requester_name!=""`, ""},
	{`| kill_cause!~"parent_death|pid_namespace_end"`, ""},
	{`"parent_death|`, `"`},
	{`"session_end|`, `"`},
	{`|session_kill|`, "|"},
	{`|terminal_key|`, "|"},
	{`|parent_death|`, "|"},
	{`|pid_namespace_end"`, `"`},
	{` | kill_requester_name!=""`, ""},
	{`| kill_initiator_name!="" or user_name!=""`, ""},
	{`kill_initiator_name!="" or user_name!=""`, `kill_initiator_name!=""`},
	{`kill_initiator_name!="" or user_name!=""`, `user_name!=""`},
	{` | kill_target_systemd_unit=~"mariadb.service"`, ""},
	{`| kill_cause=~"service_stop|service_restart|service_kill"`, ""},
	{`"service_stop|`, `"`},
	{`|service_restart|`, "|"},
	{`|service_kill"`, `"`},
	{`| kill_target_systemd_unit!=""`, ""},
	{`| kill_target_systemd_unit!~"user@.*"`, ""},
	{`kill_initiator_name=~"`, `kill_initiator_name=~".*" or kill_initiator_name=~"`},
	{`|apt.*`, ""},
	{`|unattended-upgr.*`, ""},
	{`(/[.]ansible/tmp/|BECOME-SUCCESS-)`, "/[.]ansible/tmp/"},
	{`(/[.]ansible/tmp/|BECOME-SUCCESS-)`, "BECOME-SUCCESS-"},
	{` or kill_session_service=~"cron.*|atd"`, ""},
	{` | kill_cause!=""`, ""},
	{`"watchdog|`, `"`},
	{`|start_timeout|`, "|"},
	{`|stop_timeout|`, "|"},
	{`|runtime_limit"`, `"`},
	{` | kill_session_id!=""`, ""},
	{`>= 3`, ">= 2"},
	{`{{ or .kill_count "1" }}`, "1"},                 // records, not signals
	{`{{ or .kill_count "1" }}`, "{{ .kill_count }}"}, // without those of a single signal
	{`[6m]`, "[4m]"},
	{`[6m]`, "[7m]"},
	{`[1h]`, "[2h]"},
	{` | kill_cause="oom"`, ""},
	{` | kill_escalated="true"`, ""},
	{` | kill_outcome=~"killed|core_dumped"`, ""},
	{`"killed|core_dumped"`, `"core_dumped"`},
	{`"killed|core_dumped"`, `"killed"`},
	{` | kill_duration=""`, ""},
	{` | kill_result="success"`, ""},
	{` | kill_result="failure"`, ""},
	{`kill_target_start_time) (` + "\n  min_over_time", `kill_target_start_time) (` + "\n  max_over_time"},
	{"\n) > 0", "\n)"},
	{` | kill_complete="false"`, ""},
	{"\nunless\n", "\nor\n"},
}

// Loki gives the right answers to the queries of its dashboard and rules, and to the documented command.
func TestQueriesLoki(t *testing.T) {
	l := startRuler(t, "rules.yaml")
	now := startFleet(t, "http://"+l.Address+"/otlp", fleetEvents(), everythingIn(l))

	panels := readPanels(t)
	assert.Len(t, panels, len(questions)+len([]string{incidents}))
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
				assert.Empty(t, ask(t, panel.filled("host-99")), "records of another host")
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
		ask := func(t *testing.T, expr string) tally {
			t.Helper()
			return askOver(t, l, expr, now.Add(-30*time.Minute), now, interval, q.fields)
		}
		askAll(t, rule.Expr, want, lokiWeakenings, ask)
		leaveOut(t, "loki", rule.Alert, rule.Expr, " [6m]", want, ask)
	})
}

func everythingIn(l *loki.Loki) func() ([]map[string]string, error) {
	return func() ([]map[string]string, error) { return l.TryAsk(`{service_name="auditkill"}`) }
}

// Loki's own ruler raises the right alerts, and says "probably" of what is inferred.
func TestQueriesLokiAlerts(t *testing.T) {
	l := startRuler(t, "rules.yaml")
	startFleet(t, "http://"+l.Address+"/otlp", incident(), everythingIn(l))
	awaitAlerts(t, l.Server, "/prometheus/api/v1/alerts", alertsFor)
}

// dashboardPanel is a panel of the dashboard for Grafana.
type dashboardPanel struct {
	Type              string
	Expr, Query, Step string
}

// filled returns the query after Grafana has filled in the variables, for mysqld and mariadb.service in the last hour.
func (p *dashboardPanel) filled(host string) string {
	return strings.NewReplacer("$__range", "1h", "$target", "mysqld", "$unit", "mariadb.service", "$host", host).Replace(p.Expr)
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

// startRuler runs Loki with the rules in a file.
func startRuler(t *testing.T, file string) *loki.Loki {
	t.Helper()
	l := loki.Start(t)
	l.Kill()
	directory := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(directory, "fake"), 0o700)) // the tenant of a Loki without tenants
	require.NoError(t, os.WriteFile(filepath.Join(directory, "fake", "rules.yaml"), frequent(t, "loki", file), 0o600))
	l.Arguments = append(l.Arguments, "-ruler.storage.type=local", "-ruler.storage.local.directory="+directory,
		"-ruler.rule-path="+t.TempDir())
	l.Restart()
	return l
}
