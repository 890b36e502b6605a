// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/certificates"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// The queries in deploy/queries/ are run on real servers to which a simulated fleet sends through a gateway.
// Each query runs as shipped, and again without each of its conditions: then its answer must be wrong, or the
// test would not show that the condition is needed.

// question is a question about a fleet, independent of the query language.
type question struct {
	title string
	// fields are the fields of an answer that are compared. truth has their right values, each with
	// its number: the value of a metric, or the number of rows.
	fields []string
	truth  tally
	// number is the column with the number, if the answer has columns.
	number string
	// alert is the truth of the alerting rule, if that differs.
	alert tally
}

// tally maps the values of the fields, joined by spaces, to a number.
type tally map[string]float64

// questions have the names that the files in deploy/queries/ use.
var questions = map[string]question{
	"who-killed": {
		"Who killed it in the last hour, on which hosts",
		[]string{"host.name", "kill.signal.name", "kill.cause", "process.executable.path", "user.name"},
		tally{
			"host-01 SIGKILL - /opt/bin/mykill alice": 1,
			"host-02 SIGKILL oom - -":                 1,
			"host-03 SIGTERM - /usr/bin/htop bob":     1,
		},
		"kills", nil,
	},
	"kills": {
		"Kills, one by one",
		[]string{"host.name", "kill.signal.name"},
		tally{"host-01 SIGKILL": 1, "host-02 SIGKILL": 1, "host-03 SIGTERM": 1},
		"", nil,
	},
	"many-hosts-executable": {
		"The same executable on 3 or more hosts within 5 minutes",
		[]string{"process.executable.path"},
		tally{"/opt/bin/spray": 3, "/usr/bin/containerd-shim-runc-v2": 3, "/usr/lib/systemd/systemd": 5, "/usr/bin/crun": 3},
		"hosts",
		tally{"/opt/bin/spray": 3, "/usr/bin/crun": 3},
	},
	"many-hosts-user": {
		"The same login user on 3 or more hosts within 5 minutes",
		[]string{"user.id", "user.name"},
		tally{"1003 carol": 3},
		"hosts", nil,
	},
	"oom-kills": {
		"OOM kills by host",
		[]string{"host.name", "kill.target.name"},
		tally{"host-02 mysqld": 1, "host-16 java": 2, "host-17 java": 1, "host-17 postgres": 1},
		"kills", nil,
	},
	"crashes": {
		"Crashes by program",
		[]string{"host.name", "kill.target.name", "kill.signal.name"},
		tally{"host-07 mysqld SIGSEGV": 1, "host-27 python3 SIGSEGV": 2},
		"crashes", nil,
	},
	"escalations": {
		"SIGTERM followed by SIGKILL",
		[]string{"host.name", "kill.target.name"},
		tally{"host-18 nginx": 1},
		"escalations", nil,
	},
	"escalations-signals": {
		"SIGTERM followed by SIGKILL, by the signals alone",
		[]string{"host.name", "kill.target.name", "kill.target.pid"},
		tally{"host-18 nginx 40": 60_000, "host-20 redis 42": 30_000},
		"milliseconds", nil,
	},
	"failed-attempts": {
		"Failed attempts by user",
		[]string{"user.name", "process.user.id", "error.type"},
		tally{
			"bob 65534 EPERM": 1, "dave 65534 EPERM": 1, "mallory 65534 EPERM": 3, "- 65534 EPERM": 1,
			"erin 0 ESRCH": 1, "- 0 ESRCH": 1,
		},
		"attempts", nil,
	},
	"tampering": {
		"Tampering",
		[]string{"host.name", "kill.tamper.action"},
		tally{"host-28 rule_removed": 2, "host-29 audit_disabled": 1},
		"", nil,
	},
	"incomplete": {
		"Incomplete events",
		[]string{"host.name"},
		tally{"host-30": 1},
		"events", nil,
	},
	"silent-hosts": {
		"Hosts that fell silent",
		[]string{"host.name"},
		tally{"host-39": 9},
		"records", nil,
	},
}

// rulesFile is a file of rules for Loki's ruler or for vmalert.
type rulesFile struct {
	Groups []struct {
		Name     string    `json:"name"`
		Interval string    `json:"interval"`
		Rules    []ruleOne `json:"rules"`
	} `json:"groups"`
}

type ruleOne struct {
	Alert string `json:"alert"`
	Expr  string `json:"expr"`
}

// weakening replaces a condition of a query with a weaker one.
type weakening struct{ condition, instead string }

// askAll runs a query as it is, and again without each of its conditions.
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
		assert.NotEqual(t, want, ask(t, changed), "still right without %s: %s", w.condition, changed)
	}
	assert.Positive(t, weakened, "conditions of %s", query)
}

// startFleet sends the records of the fleet through a gateway to a backend for logs, and returns
// the time at which to ask the questions.
func startFleet(t *testing.T, endpoint string, arrived func() ([]map[string]string, error)) time.Time {
	t.Helper()
	now := fleetNow()
	files := certificates.New(t)
	environment := files.Environment()
	environment["LOGS_ENDPOINT"], environment["LISTEN_ENDPOINT"] = endpoint, harness.FreeAddress(t)
	gateway := shipped.Start(t, "configs/gateway.yaml", environment, shipped.Overlay(t, shipped.PatientGateway))
	count := sendFleet(t, certificates.Connect(t, environment["LISTEN_ENDPOINT"], files), now)
	harness.Eventually(t, func() bool {
		rows, err := arrived()
		return err == nil && len(rows) >= count
	}, "%d records arrive", count)
	gateway.Stop()
	rows, err := arrived()
	require.NoError(t, err)
	require.Len(t, rows, count)
	return now
}

// forEachRule runs a test for each rule, with its question and its truth.
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

// higher keeps the highest number for each key.
func higher(highest, more tally) {
	for name, number := range more {
		highest[name] = max(highest[name], number)
	}
}

// joined returns the values of fields, with a dash for a missing one.
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

// vectorOf reads an answer in the format of Prometheus, and returns the highest value of each series.
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

var fence = regexp.MustCompile("(?s)```(logql|logsql|esql)\n(.*?)\n```")

// The queries in the documentation are the shipped ones.
func TestQueriesInDocs(t *testing.T) {
	t.Parallel()
	var logsQL queriesFile
	harness.ReadYAML(t, "deploy/queries/victorialogs/queries.yaml", &logsQL)
	shipped := map[string][]string{"esql": slices.Collect(maps.Values(readESQL(t)))}
	for _, panel := range readPanels(t) {
		shipped["logql"] = append(shipped["logql"], panel.filled(".+"))
	}
	for _, query := range logsQL.Queries {
		shipped["logsql"] = append(shipped["logsql"], strings.TrimSpace(query.Query))
	}
	for document, language := range map[string]string{"loki": "logql", "victorialogs": "logsql", "elastic": "esql"} {
		text, err := os.ReadFile(harness.Path("docs", document+".md"))
		require.NoError(t, err)
		shown := fence.FindAllStringSubmatch(string(text), -1)
		assert.Len(t, shown, 5, "the five questions in %s", document)
		for _, match := range shown {
			assert.Equal(t, language, match[1])
			assert.Contains(t, shipped[language], match[2])
		}
	}
}

var command = regexp.MustCompile("(?s)```sh\n(curl [^`]*/query [^`]*)\n```")

// runDocumented runs the command of a page that asks who killed mysqld, with another address.
func runDocumented(t *testing.T, document, address, instead string) []byte {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		harness.Missing(t, fmt.Sprintf("the documented commands need curl: %v", err))
	}
	text, err := os.ReadFile(harness.Path("docs", document+".md"))
	require.NoError(t, err)
	shown := command.FindAllStringSubmatch(string(text), -1)
	require.Len(t, shown, 1)
	require.Contains(t, shown[0][1], address)
	script := strings.ReplaceAll(shown[0][1], address, instead)
	said, err := exec.CommandContext(t.Context(), "sh", "-c", script).Output() //nolint:gosec // of our own documentation
	require.NoError(t, err, "%s", script)
	return said
}

// The rules for all backends leave out the same executables: service managers, in the folders where they are installed.
func TestQueriesLeaveOutManagers(t *testing.T) {
	t.Parallel()
	var loki, victoriaLogs rulesFile
	harness.ReadYAML(t, "deploy/queries/loki/rules.yaml", &loki)
	harness.ReadYAML(t, "deploy/queries/victorialogs/rules.yaml", &victoriaLogs)
	for name, rule := range map[string]struct{ query, pattern string }{
		"LogQL":  {loki.Groups[0].Rules[0].Expr, `path!~"(.+?)"`},
		"LogsQL": {victoriaLogs.Groups[0].Rules[0].Expr, `!process.executable.path:~"\^\((.+)\)\$"`},
		"ES|QL":  {readDetectionRules(t)[0].Query, `path NOT RLIKE "(.+?)"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := regexp.MustCompile(rule.pattern).FindStringSubmatch(rule.query)
			require.Len(t, found, 2, "%s", rule.query)
			leftOut := regexp.MustCompile("^(" + found[1] + ")$") // in all three languages the pattern matches the whole value
			for path, want := range map[string]bool{
				"/usr/lib/systemd/systemd":         true,
				"/lib/systemd/systemd":             true,
				"/usr/bin/containerd-shim-runc-v2": true,
				"/usr/local/sbin/runc":             true,
				"/usr/libexec/crio/conmon":         true,
				"/usr/bin/dockerd":                 true,
				"/usr/bin/kubelet":                 true,
				"/bin/kill":                        false,
				"/usr/bin/runcx":                   false,
				"/tmp/runc":                        false,
				"/home/eve/usr/bin/runc":           false,
			} {
				assert.Equal(t, want, leftOut.MatchString(path), path)
			}
		})
	}
}
