// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"maps"
	"math"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// The queries of deploy/queries/, put to real servers that a simulated fleet sends to
// through a gateway. Each is asked as it is shipped, and once more without each of its
// conditions: then the answer must be a wrong one, or the condition would prove nothing.

// question is one that is asked of a fleet, in whatever language.
type question struct {
	title string
	// fields are those of an answer that count, and truth is what they must be, with the
	// number that goes with it: the value of a metric, or how many rows there are.
	fields []string
	truth  tally
	// number is the column of the number, where there are columns.
	number string
	// alert is the truth of the rule, if there is one and it tells something else.
	alert tally
}

// tally are the values of the fields, joined by spaces.
type tally map[string]float64

// questions are named as the files in deploy/queries/ name them.
var questions = map[string]question{
	"who-killed": {
		"Who killed it in the last hour, on which hosts",
		[]string{"host.name", "kill.signal.name", "kill.cause", "process.executable.path", "user.name"},
		tally{
			"host-01 SIGKILL - /opt/bin/mykill alice": 1,
			"host-02 SIGKILL oom - -":                 1,
			"host-03 SIGTERM - /usr/bin/htop bob":     1,
		}, "kills", nil,
	},
	"kills": {
		"Kills, one by one",
		[]string{"host.name", "kill.signal.name"},
		tally{"host-01 SIGKILL": 1, "host-02 SIGKILL": 1, "host-03 SIGTERM": 1}, "", nil,
	},
	"many-hosts-executable": {
		"The same executable on 3 or more hosts within 5 minutes",
		[]string{"process.executable.path"},
		tally{"/opt/bin/spray": 3, "/usr/lib/systemd/systemd": 5}, "hosts",
		tally{"/opt/bin/spray": 3},
	},
	"many-hosts-user": {
		"The same login user on 3 or more hosts within 5 minutes",
		[]string{"user.id", "user.name"},
		tally{"1003 carol": 3}, "hosts", nil,
	},
	"oom-kills": {
		"OOM kills by host",
		[]string{"host.name", "kill.target.name"},
		tally{"host-02 mysqld": 1, "host-16 java": 2, "host-17 java": 1, "host-17 postgres": 1}, "kills", nil,
	},
	"crashes": {
		"Crashes by program",
		[]string{"host.name", "kill.target.name", "kill.signal.name"},
		tally{"host-07 mysqld SIGSEGV": 1, "host-27 python3 SIGSEGV": 2}, "crashes", nil,
	},
	"escalations": {
		"SIGTERM followed by SIGKILL",
		[]string{"host.name", "kill.target.name"},
		tally{"host-18 nginx": 1}, "escalations", nil,
	},
	"escalations-signals": {
		"SIGTERM followed by SIGKILL, by the signals alone",
		[]string{"host.name", "kill.target.name", "kill.target.pid"},
		tally{"host-18 nginx 40": 60_000, "host-20 redis 42": 30_000}, "milliseconds", nil,
	},
	"failed-attempts": {
		"Failed attempts by user",
		[]string{"user.name", "process.user.id", "error.type"},
		tally{
			"bob 65534 EPERM": 1, "dave 65534 EPERM": 1, "mallory 65534 EPERM": 3, "- 65534 EPERM": 1,
			"erin 0 ESRCH": 1, "- 0 ESRCH": 1,
		}, "attempts", nil,
	},
	"tampering": {
		"Tampering",
		[]string{"host.name", "kill.tamper.action"},
		tally{"host-28 rule_removed": 2, "host-29 audit_disabled": 1}, "", nil,
	},
	"incomplete": {
		"Events that are not whole",
		[]string{"host.name"},
		tally{"host-30": 1}, "events", nil,
	},
	"silent-hosts": {
		"Hosts that fell silent",
		[]string{"host.name"},
		tally{"host-39": 9}, "records", nil,
	},
}

// rulesFile are rules for Loki's ruler or for vmalert.
type rulesFile struct {
	Groups []struct {
		Name     string    `yaml:"name"`
		Interval string    `yaml:"interval"`
		Rules    []ruleOne `yaml:"rules"`
	} `yaml:"groups"`
}

type ruleOne struct {
	Alert string `yaml:"alert"`
	Expr  string `yaml:"expr"`
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "deploy", "queries", path))
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, into))
}

// weakening takes a condition out of a query.
type weakening struct{ condition, instead string }

// askAll puts a query as it is, and without each of its conditions.
func askAll(t *testing.T, query string, want tally, weakenings []weakening, ask func(*testing.T, string) tally) {
	t.Helper()
	require.Equal(t, want, ask(t, query), "%s", query)
	weakened := 0
	for _, w := range weakenings {
		if !strings.Contains(query, w.condition) {
			continue
		}
		weakened++
		changed := strings.ReplaceAll(query, w.condition, w.instead)
		assert.NotEqual(t, want, ask(t, changed), "as right without %s: %s", w.condition, changed)
	}
	assert.Positive(t, weakened, "conditions of %s", query)
}

// startFleet sends the records of the fleet through a gateway to a backend of logs, and
// returns the time at which the questions are to be asked.
func startFleet(t *testing.T, endpoint string, arrived func() int) time.Time {
	t.Helper()
	now := fleetNow()
	certificates := newCertificates(t)
	environment := certificates.environment()
	environment["LOGS_ENDPOINT"], environment["LISTEN_ENDPOINT"] = endpoint, freeAddress(t)
	gateway := startConfigured(t, "configs/gateway.yaml", environment)
	count := sendFleet(t, environment["LISTEN_ENDPOINT"], certificates, now)
	eventually(t, func() bool { return arrived() >= count }, "%d records arrive", count)
	gateway.stop()
	require.Equal(t, count, arrived(), "records")
	return now
}

var victoriaLogsWeakenings = []weakening{
	{`event.name:="kill.signal" `, ""},
	{`event.name:="kill.abend"`, ""},
	{`event.name:="kill.tamper"`, ""},
	{`severity:in("WARN","ERROR")`, ""},
	{`kill.target.name:="mysqld"`, ""},
	{`process.executable.path:!""`, ""},
	{`!process.executable.path:in("/usr/lib/systemd/systemd","/lib/systemd/systemd")`, ""},
	{`user.id:!""`, ""},
	{`hosts:>=3`, "hosts:>=2"},
	{`[0,1,2,3,4,5]`, "[0,1,2,3,4]"},
	{`[0,1,2,3,4,5]`, "[0,1,2,3,4,5,6]"},
	{`_time:6m`, "_time:4m"},
	{`_time:6m`, "_time:7m"},
	{`_time:1h`, "_time:2h"},
	{`kill.cause:="oom"`, ""},
	{`kill.escalated:="true"`, "*"},
	{`kill.result:="success"`, ""},
	{`kill.result:="failure"`, ""},
	{`milliseconds:>0`, "*"},
	{`kill.complete:="false"`, "*"},
	{`now:=0`, "*"},
}

// What VictoriaLogs answers to the queries and rules for it.
func TestQueriesVictoriaLogs(t *testing.T) {
	v := startVictoriaLogs(t)
	now := startFleet(t, "http://"+v.address+"/insert/opentelemetry", func() int { return len(v.ask("*")) })

	var file struct {
		Queries []struct {
			Name  string `yaml:"name"`
			Title string `yaml:"title"`
			Query string `yaml:"query"`
		} `yaml:"queries"`
	}
	readYAML(t, "victorialogs/queries.yaml", &file)
	assert.Len(t, file.Queries, len(questions)-1, "all but the kills one by one, which need no query of their own")
	for _, query := range file.Queries {
		t.Run(query.Name, func(t *testing.T) {
			q := questions[query.Name]
			require.Equal(t, q.title, query.Title)
			askAll(t, strings.ReplaceAll(query.Query, "$target", "mysqld"), q.truth, victoriaLogsWeakenings,
				func(t *testing.T, query string) tally {
					t.Helper()
					return v.rows(t, query, now, &q)
				})
		})
	}

	var rules rulesFile
	readYAML(t, "victorialogs/rules.yaml", &rules)
	forEachRule(t, rules, func(t *testing.T, rule ruleOne, interval time.Duration, q *question, want tally) {
		t.Helper()
		askAll(t, rule.Expr, want, victoriaLogsWeakenings, func(t *testing.T, expr string) tally {
			t.Helper()
			highest := make(tally)
			for at := now.Add(-30 * time.Minute); !at.After(now); at = at.Add(interval) {
				higher(highest, v.stats(t, expr, at, q.fields))
			}
			return highest
		})
	})
}

// forEachRule runs a test for each rule, with its question and the truth.
func forEachRule(t *testing.T, rules rulesFile, test func(*testing.T, ruleOne, time.Duration, *question, tally)) {
	t.Helper()
	var names []string
	for _, group := range rules.Groups {
		interval, err := time.ParseDuration(group.Interval)
		require.NoError(t, err)
		for _, rule := range group.Rules {
			names = append(names, rule.Alert)
			t.Run("rule "+rule.Alert, func(t *testing.T) {
				q, known := questions[rule.Alert]
				require.True(t, known)
				want := q.truth
				if q.alert != nil {
					want = q.alert
				}
				test(t, rule, interval, &q, want)
			})
		}
	}
	assert.Equal(t, []string{"many-hosts-executable", "many-hosts-user", "oom-kills", "escalations", "tampering"}, names)
}

// higher keeps the highest numbers.
func higher(highest, more tally) {
	for name, number := range more {
		highest[name] = max(highest[name], number)
	}
}

// rows returns the rows that answer a query, asked at a time.
func (v *victoriaLogs) rows(t *testing.T, query string, at time.Time, q *question) tally {
	t.Helper()
	body, err := v.get("/select/logsql/query", url.Values{"query": {query}, "time": {at.Format(time.RFC3339)}})
	require.NoError(t, err, "%s", query)
	got := make(tally)
	for line := range strings.Lines(string(body)) {
		var row map[string]string
		require.NoError(t, json.Unmarshal([]byte(line), &row), "%s", line)
		number, err := strconv.ParseFloat(row[q.number], 64)
		if err != nil {
			number = 1 // a row
		}
		got[joined(q.fields, row)] += number
	}
	return got
}

// stats returns the answer to the query of a rule, as vmalert asks at a time.
func (v *victoriaLogs) stats(t *testing.T, query string, at time.Time, fields []string) tally {
	t.Helper()
	body, err := v.get("/select/logsql/stats_query", url.Values{"query": {query}, "time": {at.Format(time.RFC3339)}})
	require.NoError(t, err, "%s", query)
	return vectorOf(t, body, fields)
}

// joined are the values of fields, with a dash for one that is missing.
func joined(fields []string, row map[string]string) string {
	values := make([]string, len(fields))
	for i, field := range fields {
		values[i] = row[field]
		if values[i] == "" {
			values[i] = "-"
		}
	}
	return strings.Join(values, " ")
}

// vectorOf reads an answer in Prometheus' form: of each series the highest value.
func vectorOf(t *testing.T, body []byte, fields []string) tally {
	t.Helper()
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
				Value  []any             `json:"value"`
				Values [][]any           `json:"values"`
			} `json:"result"`
		} `json:"data"`
	}
	require.NoError(t, json.Unmarshal(body, &answer), "%s", body)
	got := make(tally)
	for _, series := range answer.Data.Result {
		if series.Value != nil {
			series.Values = append(series.Values, series.Value)
		}
		highest := math.Inf(-1)
		for _, value := range series.Values {
			number, err := strconv.ParseFloat(value[1].(string), 64)
			require.NoError(t, err)
			highest = max(highest, number)
		}
		got[joined(fields, series.Metric)] += highest
	}
	return got
}

// The rules are as vmalert wants them.
func TestQueriesVmalertRules(t *testing.T) {
	t.Parallel()
	vmalert := buildTool(t, "victorialogs", "vmalert")
	shipped, err := os.ReadFile(filepath.Join("..", "deploy", "queries", "victorialogs", "rules.yaml"))
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
			said, err := exec.CommandContext(t.Context(), vmalert, "-dryRun", "-rule="+path).CombinedOutput()
			assert.Equal(t, test.valid, err == nil, "%s", said)
		})
	}
}

var lokiWeakenings = []weakening{
	{` | event_name="kill.signal"`, ""},
	{` | event_name="kill.abend"`, ""},
	{` | event_name="kill.tamper"`, ""},
	{` | severity_number>=13`, ""},
	{` | kill_target_name=~"mysqld"`, ""},
	{`process_executable_path!=""`, `process_executable_path=~".*"`},
	{` | process_executable_path!~"(/usr)?/lib/systemd/systemd"`, ""},
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
}

// What Loki answers to the dashboard and the rules for it.
func TestQueriesLoki(t *testing.T) {
	l := startRuler(t)
	now := startFleet(t, "http://"+l.address+"/otlp", func() int { return len(l.ask(`{service_name="auditkill"}`)) })

	panels := readPanels(t)
	assert.Len(t, panels, len(questions))
	for name, q := range questions {
		t.Run(name, func(t *testing.T) {
			panel := panels[q.title]
			require.NotEmpty(t, panel.Expr)
			filled := func(host string) string {
				return strings.NewReplacer("$__range", "1h", "$target", "mysqld", "$host", host).Replace(panel.Expr)
			}
			ask := func(t *testing.T, query string) tally {
				t.Helper()
				return l.answer(t, query, panel, now, &q)
			}
			askAll(t, filled(".+"), q.truth, slices.Concat(lokiWeakenings, hours(name)), ask)
			if strings.Contains(panel.Expr, "$host") {
				assert.Empty(t, ask(t, filled("host-40")), "of another host")
			}
		})
	}

	var rules rulesFile
	readYAML(t, "loki/rules.yaml", &rules)
	healthy := map[string]int{"ok": 0}
	for _, group := range rules.Groups {
		healthy["ok"] += len(group.Rules)
	}
	eventually(t, func() bool { return maps.Equal(healthy, l.health()) }, "the ruler has evaluated %v: %v", healthy, l.health())
	forEachRule(t, rules, func(t *testing.T, rule ruleOne, interval time.Duration, q *question, want tally) {
		t.Helper()
		askAll(t, rule.Expr, want, lokiWeakenings, func(t *testing.T, expr string) tally {
			t.Helper()
			return l.over(t, expr, now.Add(-30*time.Minute), now, interval, q.fields)
		})
	})
}

// hours are the weakenings of how long a panel looks back.
func hours(name string) []weakening {
	if name == "silent-hosts" {
		return []weakening{{"\nunless\n", "\nor\n"}}
	}
	return nil
}

// dashboardPanel is a panel of Grafana's dashboard.
type dashboardPanel struct {
	Type              string
	Expr, Query, Step string
}

// readPanels returns the panels of the dashboard by their titles.
func readPanels(t *testing.T) map[string]dashboardPanel {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "deploy", "queries", "loki", "dashboard.json"))
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

// answer asks as Grafana does for a panel of the last hour.
func (l *loki) answer(t *testing.T, query string, panel dashboardPanel, now time.Time, q *question) tally {
	t.Helper()
	switch panel.Type {
	case "logs":
		got := make(tally)
		for _, row := range l.ask(query) {
			nanoseconds, err := strconv.ParseInt(row["_time"], 10, 64)
			require.NoError(t, err)
			if now.Sub(time.Unix(0, nanoseconds)) < time.Hour {
				got[joined(labels(q.fields), row)]++
			}
		}
		return got
	case "timeseries":
		step, err := time.ParseDuration(panel.Step)
		require.NoError(t, err)
		return l.over(t, query, now.Add(-time.Hour), now, step, q.fields)
	default:
		require.Equal(t, "instant", panel.Query)
		body, err := l.get("/loki/api/v1/query", url.Values{"query": {query}, "time": {nanoseconds(now)}})
		require.NoError(t, err, "%s", query)
		return vectorOf(t, body, labels(q.fields))
	}
}

// over asks for every step from one time to another, and keeps the highest values.
func (l *loki) over(t *testing.T, query string, from, to time.Time, step time.Duration, fields []string) tally {
	t.Helper()
	body, err := l.get("/loki/api/v1/query_range", url.Values{
		"query": {query}, "start": {nanoseconds(from)}, "end": {nanoseconds(to)}, "step": {step.String()},
	})
	require.NoError(t, err, "%s", query)
	return vectorOf(t, body, labels(fields))
}

func nanoseconds(at time.Time) string { return strconv.FormatInt(at.UnixNano(), 10) }

// labels are what Loki makes of the names of attributes.
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

// startRuler runs Loki with the rules for it, which it evaluates more often than they
// ask for, so that the test need not wait.
func startRuler(t *testing.T) *loki {
	t.Helper()
	l := startLoki(t)
	l.kill()
	directory := t.TempDir()
	rules, err := os.ReadFile(filepath.Join("..", "deploy", "queries", "loki", "rules.yaml"))
	require.NoError(t, err)
	rules = intervalPattern.ReplaceAll(rules, []byte("interval: 1s"))
	require.NoError(t, os.Mkdir(filepath.Join(directory, "fake"), 0o700)) // the tenant, where there is only one
	require.NoError(t, os.WriteFile(filepath.Join(directory, "fake", "rules.yaml"), rules, 0o600))
	l.arguments = append(l.arguments, "-ruler.storage.type=local", "-ruler.storage.local.directory="+directory,
		"-ruler.rule-path="+t.TempDir())
	l.restart()
	return l
}

// health says how many rules are in which health.
func (l *loki) health() map[string]int {
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct {
					Health string `json:"health"`
				} `json:"rules"`
			} `json:"groups"`
		} `json:"data"`
	}
	body, err := l.get("/prometheus/api/v1/rules", nil)
	if err != nil || json.Unmarshal(body, &answer) != nil {
		return nil
	}
	health := make(map[string]int)
	for _, group := range answer.Data.Groups {
		for _, rule := range group.Rules {
			health[rule.Health]++
		}
	}
	return health
}
