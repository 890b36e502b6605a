// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"encoding/json"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend"
	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/victorialogs"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

var victoriaLogsWeakenings = []weakening{
	{`event.name:="kill.signal" `, ""},
	{`event.name:="kill.abend"`, ""},
	{`event.name:="kill.tamper"`, ""},
	{`severity:in("WARN","ERROR")`, ""},
	{`kill.target.name:="mysqld"`, ""},
	{`process.executable.path:!""`, ""},
	{`("SIGHUP","SIGUSR1","SIGUSR2")`, `("SIGUSR1","SIGUSR2")`},
	{`("SIGHUP","SIGUSR1","SIGUSR2")`, `("SIGHUP","SIGUSR2")`},
	{`("SIGHUP","SIGUSR1","SIGUSR2")`, `("SIGHUP","SIGUSR1")`},
	{`(/usr)?/lib/systemd/systemd|`, ""},
	{`|containerd-shim-runc-v2|`, "|"},
	{`kill.sender.mount_namespace:!"" or `, ""},
	{`, kill.sender.mount_namespace`, ""},
	{`user.id:!""`, ""},
	{`(!kill.cause:in("session_end","session_kill","terminal_key","parent_death","pid_namespace_end") or kill.requester.name:!"")`, ""},
	{`(!kill.cause:in("session_end","session_kill","terminal_key","parent_death","pid_namespace_end") or kill.requester.name:!"")`, `!kill.cause:in("session_end","session_kill","terminal_key","parent_death","pid_namespace_end")`},
	{` !kill.cause:in("parent_death","pid_namespace_end")`, ""},
	{`"session_end",`, ""},
	{`"session_kill",`, ""},
	{`"terminal_key",`, ""},
	{`"parent_death",`, ""},
	{`,"pid_namespace_end"`, ""},
	{`kill.requester.name:!""`, "*"},
	{`(kill.initiator.name:!"" or user.name:!"")`, ""},
	{`(kill.initiator.name:!"" or user.name:!"")`, `kill.initiator.name:!""`},
	{`(kill.initiator.name:!"" or user.name:!"")`, `user.name:!""`},
	{`kill.target.systemd.unit:="mariadb.service"`, ""},
	{`kill.cause:in("service_stop","service_restart","service_kill")`, ""},
	{`in("service_stop",`, "in("},
	{`"service_restart",`, ""},
	{`,"service_kill"`, ""},
	{` kill.target.systemd.unit:!""`, ""},
	{` !kill.target.systemd.unit:="user@"*`, ""},
	{`kill.initiator.name:~"^(`, `kill.initiator.name:~"^(.*|`},
	{`|apt.*`, ""},
	{`|unattended-upgr.*`, ""},
	{`"/[.]ansible/tmp/|BECOME-SUCCESS-"`, `"/[.]ansible/tmp/"`},
	{`"/[.]ansible/tmp/|BECOME-SUCCESS-"`, `"BECOME-SUCCESS-"`},
	{` or kill.session.service:~"^(cron.*|atd)$"`, ""},
	{`kill.cause:!""`, ""},
	{`kill.cause:in("watchdog",`, `kill.cause:in(`},
	{`"start_timeout",`, ""},
	{`"stop_timeout",`, ""},
	{`,"runtime_limit"`, ""},
	{`kill.session.id:!""`, ""},
	{`hosts:>=3`, "hosts:>=2"},
	{`[0,1,2,3,4,5]`, "[0,1,2,3,4]"},
	{`[0,1,2,3,4,5]`, "[0,1,2,3,4,5,6]"},
	{`) sum(signals) as `, `) count() as `},         // records, not signals
	{`) sum(signals) as `, `) sum(kill.count) as `}, // without those of a single signal
	{`_time:6m`, "_time:4m"},
	{`_time:6m`, "_time:7m"},
	{`_time:1h`, "_time:2h"},
	{`kill.cause:="oom"`, ""},
	{`kill.escalated:="true"`, "*"},
	{`kill.outcome:in("killed","core_dumped")`, ""},
	{`"killed",`, ""},
	{`,"core_dumped"`, ""},
	{` kill.duration:""`, ""},
	{`kill.result:="success"`, ""},
	{`kill.result:="failure"`, ""},
	{`milliseconds:>0`, "*"},
	{`kill.complete:="false"`, "*"},
	{`now:=0`, "*"},
}

// queriesFile is the file of the LogsQL queries.
type queriesFile struct {
	Queries []struct {
		Name  string `json:"name"`
		Title string `json:"title"`
		Query string `json:"query"`
	} `json:"queries"`
}

// VictoriaLogs gives the right answers to its queries and rules, and to the documented command.
func TestQueriesVictoriaLogs(t *testing.T) {
	v := victorialogs.Start(t)
	now := startFleet(t, "http://"+v.Address+"/insert/opentelemetry", fleetEvents(), everythingOf(v))

	var file queriesFile
	harness.ReadYAML(t, "deploy/queries/victorialogs/queries.yaml", &file)
	assert.Len(t, file.Queries, len(questions)-1, "all questions but the list of kills, which needs no query of its own")
	for _, query := range file.Queries {
		t.Run(query.Name, func(t *testing.T) {
			q := questions[query.Name]
			require.Equal(t, q.title, query.Title)
			askAll(t, query.Query, q.truth, victoriaLogsWeakenings,
				func(t *testing.T, query string) tally {
					t.Helper()
					return askRows(t, v, query, now, &q)
				})
		})
	}

	t.Run("documented command", func(t *testing.T) {
		q := questions["who-killed"]
		said := runDocumented(t, "victorialogs", "https://victorialogs.example.com:9428", "http://"+v.Address)
		assert.Equal(t, q.truth, rowsOf(t, said, &q))
	})

	var rules rulesFile
	harness.ReadYAML(t, "deploy/queries/victorialogs/rules.yaml", &rules)
	forEachRule(t, rules, func(t *testing.T, rule ruleOne, interval time.Duration, q *question, want tally) {
		t.Helper()
		ask := func(t *testing.T, expr string) tally {
			t.Helper()
			highest := make(tally)
			for at := now.Add(-30 * time.Minute); !at.After(now); at = at.Add(interval) {
				higher(highest, askStats(t, v, expr, at, q.fields))
			}
			return highest
		}
		askAll(t, rule.Expr, want, victoriaLogsWeakenings, ask)
		leaveOut(t, "victorialogs", rule.Alert, rule.Expr, "\n| stats", want, ask)
	})
}

func everythingOf(v *victorialogs.VictoriaLogs) func() ([]map[string]string, error) {
	return func() ([]map[string]string, error) { return v.TryAsk("*") }
}

// vmalert raises the right alerts, and says "probably" of what is inferred.
func TestQueriesVmalertAlerts(t *testing.T) {
	v := victorialogs.Start(t)
	startFleet(t, "http://"+v.Address+"/insert/opentelemetry", incident(), everythingOf(v))
	awaitAlerts(t, startVmalert(t, v, "rules.yaml"), "/api/v1/alerts", alertsFor)
}

// startVmalert runs vmalert with the rules in a file.
func startVmalert(t *testing.T, v *victorialogs.VictoriaLogs, file string) *backend.Server {
	t.Helper()
	rules := filepath.Join(t.TempDir(), file)
	require.NoError(t, os.WriteFile(rules, frequent(t, "victorialogs", file), 0o600))
	vmalert := &backend.Server{
		T: t, Address: harness.FreeAddress(t), Path: backend.BuildTool(t, "victorialogs", "vmalert"), Health: "/health",
	}
	vmalert.Arguments = []string{
		"-rule=" + rules, "-datasource.url=http://" + v.Address, "-notifier.blackhole", "-rule.evalDelay=0s",
		"-httpListenAddr=" + vmalert.Address,
	}
	vmalert.Serve()
	return vmalert
}

// askRows returns the rows that answer a query at a certain time.
func askRows(t *testing.T, v *victorialogs.VictoriaLogs, query string, at time.Time, q *question) tally {
	t.Helper()
	body, err := v.Get("/select/logsql/query", url.Values{"query": {query}, "time": {at.Format(time.RFC3339)}})
	require.NoError(t, err, "%s", query)
	return rowsOf(t, body, q)
}

func rowsOf(t *testing.T, body []byte, q *question) tally {
	t.Helper()
	got := make(tally)
	for line := range strings.Lines(string(body)) {
		var row map[string]string
		require.NoError(t, json.Unmarshal([]byte(line), &row), "%s", line)
		number, err := strconv.ParseFloat(row[q.number], 64)
		if err != nil {
			number = 1 // count the row
		}
		got[joined(q.fields, row)] += number
	}
	return got
}

// askStats returns the answer to the query of a rule at a certain time, as vmalert runs it.
func askStats(t *testing.T, v *victorialogs.VictoriaLogs, query string, at time.Time, fields []string) tally {
	t.Helper()
	body, err := v.Get("/select/logsql/stats_query", url.Values{"query": {query}, "time": {at.Format(time.RFC3339)}})
	require.NoError(t, err, "%s", query)
	return vectorOf(t, body, fields)
}

// vmalert accepts the rules.
func TestQueriesVmalertRules(t *testing.T) {
	t.Parallel()
	vmalert := backend.BuildTool(t, "victorialogs", "vmalert")
	shipped, err := os.ReadFile(harness.Path("deploy", "queries", "victorialogs", "rules.yaml"))
	require.NoError(t, err)
	for name, test := range map[string]struct {
		rules string
		valid bool
	}{
		"as shipped":  {string(shipped), true},
		"wrong query": {strings.Replace(string(shipped), "stats by", "stats buy", 1), false},
		"wrong key":   {strings.Replace(string(shipped), "annotations:", "annotation:", 1), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "rules.yaml")
			require.NoError(t, os.WriteFile(path, []byte(test.rules), 0o600))
			said, err := exec.CommandContext(t.Context(), vmalert, "-dryRun", "-rule="+path).CombinedOutput() //nolint:gosec // was just built
			assert.Equal(t, test.valid, err == nil, "%s", said)
		})
	}
}
