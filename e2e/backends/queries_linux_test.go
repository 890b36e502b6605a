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

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend"
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
		[]string{"host.name", "kill.signal.name", "kill.cause", "process.executable.path", "user.name", "kill.evidence"},
		tally{
			"host-01 SIGKILL - /opt/bin/mykill alice -":                           1,
			"host-02 SIGKILL oom - - -":                                           1,
			"host-03 SIGTERM - /usr/bin/htop bob -":                               5,
			"host-08 SIGTERM service_stop /usr/lib/systemd/systemd gina inferred": 1,
		},
		"kills", nil,
	},
	"kills": {
		"Kills, one by one",
		[]string{"host.name", "kill.signal.name"},
		tally{"host-01 SIGKILL": 1, "host-02 SIGKILL": 1, "host-03 SIGTERM": 1, "host-08 SIGTERM": 1},
		"", nil,
	},
	"who-stopped": {
		"Who had it stopped in the last hour, on which hosts",
		[]string{
			"host.name", "kill.target.systemd.unit", "kill.cause", "kill.requester.title", "kill.initiator.name", "user.name",
			"client.address", "kill.evidence",
		},
		ansible(func(host int) string {
			return hostName(host) + " mariadb.service service_restart systemctl restart mariadb sudo alice 10.0.0.5 inferred"
		}, tally{"host-05 mariadb.service service_restart systemctl restart mariadb nightly.sh root - observed": 3}),
		"kills", nil,
	},
	"automation": {
		"What automation has stopped, on how many hosts",
		[]string{"kill.initiator.name", "kill.target.systemd.unit", "kill.cause", "user.name", "kill.evidence"},
		tally{
			"python3 ntp.service service_restart root observed":        1,
			"sudo mariadb.service service_restart alice inferred":      40,
			"nightly.sh mariadb.service service_restart root observed": 1,
			"apt-get cron.service service_restart oscar inferred":      1,
			"unattended-upgr ssh.service service_restart - observed":   2,
		},
		"hosts", nil,
	},
	"timeouts": {
		"Timeouts and watchdogs by unit",
		[]string{"host.name", "kill.target.systemd.unit", "kill.cause"},
		tally{
			"host-15 api.service watchdog": 2, "host-16 web.service start_timeout": 1, "host-17 db.service stop_timeout": 1,
			"host-18 batch.service runtime_limit": 1,
		},
		"kills",
		tally{"host-15 api.service watchdog": 2, "host-16 web.service start_timeout": 1, "host-18 batch.service runtime_limit": 1},
	},
	"causes": {
		"Kills by cause",
		[]string{"kill.cause"},
		tally{
			"oom": 8, "crash": 1, "service_restart": 47, "service_stop": 33, "service_kill": 12, "main_process_end": 4, "shutdown": 3,
			"session_end": 3, "session_kill": 6, "watchdog": 2, "start_timeout": 1, "stop_timeout": 1, "runtime_limit": 1,
			"container_stop": 6, "terminal_key": 3, "parent_death": 3, "pid_namespace_end": 3,
		},
		"kills", nil,
	},
	"sessions": {
		"Kills by session: who had logged in, from where",
		[]string{
			"host.name", "kill.session.id", "kill.session.service", "kill.session.user.name", "user.name", "client.address",
			"kill.cause", "kill.evidence",
		},
		ansible(func(host int) string {
			return fmt.Sprintf("%s %d sshd alice alice 10.0.0.5 service_restart inferred", hostName(host), 100+host)
		}, tally{
			"host-05 7 cron root root - service_restart observed":      3,
			"host-10 210 sshd nora nora 10.0.0.7 session_end inferred": 1,
			"host-11 211 sshd nora nora 10.0.0.7 session_end inferred": 1,
			"host-12 212 sshd nora nora 10.0.0.7 session_end inferred": 1,
		}),
		"kills", nil,
	},
	"many-hosts-executable": {
		"The same executable on 3 or more hosts within 5 minutes",
		[]string{"process.executable.path"},
		tally{"/opt/bin/spray": 3, "/usr/bin/containerd-shim-runc-v2": 3, "/usr/lib/systemd/systemd": 40, "/usr/bin/crun": 3},
		"hosts",
		tally{"/opt/bin/spray": 3, "/usr/bin/crun": 3},
	},
	"many-hosts-user": {
		"The same login user on 3 or more hosts within 5 minutes",
		[]string{"user.id", "user.name", "kill.evidence"},
		tally{
			"1003 carol -": 3, "1001 alice inferred": 40, "1018 sam observed": 3, "1020 uma inferred": 3, "1015 pat observed": 3,
			"1025 yara observed": 3,
		},
		"hosts", nil,
	},
	"many-hosts-requester": {
		"The same requester on 3 or more hosts within 5 minutes",
		[]string{"user.name", "client.address", "kill.initiator.name", "kill.requester.name", "kill.evidence"},
		tally{
			"alice 10.0.0.5 sudo systemctl inferred": 40,
			"sam 10.0.0.6 sudo systemctl observed":   3,
			"yara 10.0.0.11 sudo ctr observed":       3,
			"- - sync-agent systemctl observed":      3,
			"uma - - systemctl inferred":             3,
			"pat - - loginctl observed":              3,
		},
		"hosts", nil,
	},
	"many-hosts-unit": {
		"The same unit stopped on 3 or more hosts within 5 minutes",
		[]string{"kill.target.systemd.unit", "kill.cause"},
		tally{"mariadb.service service_restart": 40, "cache.service service_stop": 3, "proxy.service service_kill": 3},
		"hosts", nil,
	},
	"oom-kills": {
		"OOM kills by host",
		[]string{"host.name", "kill.target.name"},
		tally{"host-02 mysqld": 1, "host-16 java": 5, "host-17 java": 1, "host-17 postgres": 1},
		"kills", nil,
	},
	"crashes": {
		"Crashes by program",
		[]string{"host.name", "kill.target.name", "kill.signal.name"},
		tally{"host-07 mysqld SIGSEGV": 1, "host-27 python3 SIGSEGV": 2},
		"crashes", nil,
	},
	"unsent": {
		"Deaths that nobody was seen to cause",
		[]string{"host.name", "kill.target.name", "kill.exit.signal.name", "kill.complete"},
		tally{"host-21 postgres SIGKILL true": 2, "host-22 postgres SIGSEGV true": 1},
		"deaths", nil,
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
		[]string{"user.name", "process.user.id", "error.type", "kill.evidence"},
		tally{
			"bob 65534 EPERM -": 1, "dave 65534 EPERM -": 1, "mallory 65534 EPERM -": 72, "- 65534 EPERM -": 1,
			"erin 0 ESRCH -": 1, "- 0 ESRCH -": 1, "gina 0 ESRCH inferred": 1,
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

// incidents is the title of the view of incidents, which takes records of the connector: TestMergedIncidents asks it.
const incidents = "Incidents"

// ruleNames are the questions that have a rule, in the order of the files.
var ruleNames = []string{
	"many-hosts-executable", "many-hosts-user", "many-hosts-requester", "many-hosts-unit", "oom-kills", "timeouts", "escalations",
	"tampering",
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
func startFleet(t *testing.T, endpoint string, events []fleetEvent, arrived func() ([]map[string]string, error)) time.Time {
	t.Helper()
	now := fleetNow()
	files := certificates.New(t)
	environment := files.Environment()
	environment["LOGS_ENDPOINT"], environment["LISTEN_ENDPOINT"] = endpoint, harness.FreeAddress(t)
	gateway := shipped.Start(t, "configs/gateway.yaml", environment, shipped.Overlay(t, shipped.PatientGateway))
	count := sendFleet(t, certificates.Connect(t, environment["LISTEN_ENDPOINT"], files), events, now)
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
	assert.Equal(t, ruleNames, names)
}

// alertsFor are the alerts that somebody receives after an incident, and their summaries.
var alertsFor = map[string]string{
	"many-hosts-user":      "The login user alice (1001) has probably killed processes on 40 hosts within minutes",
	"many-hosts-requester": "alice from 10.0.0.5 has probably had services stopped on 40 hosts within minutes, with systemctl, begun by sudo",
	"many-hosts-unit":      "mariadb.service was stopped on 40 hosts within minutes: service_restart",
	"timeouts":             "api.service on host-15 was killed by its service manager: watchdog",
}

// alertsOf reads the alerts that fire from an answer in the format of Prometheus.
func alertsOf(t *testing.T, body []byte) map[string]string {
	t.Helper()
	var answer struct {
		Data struct {
			Alerts []struct {
				State       string            `json:"state"`
				Labels      map[string]string `json:"labels"`
				Annotations map[string]string `json:"annotations"`
			} `json:"alerts"`
		} `json:"data"`
	}
	require.NoError(t, json.Unmarshal(body, &answer), "%s", body)
	fire := make(map[string]string)
	for _, alert := range answer.Data.Alerts {
		name := alert.Labels["alertname"]
		assert.Equal(t, "firing", alert.State)
		assert.NotContains(t, fire, name)
		fire[name] = alert.Annotations["summary"]
	}
	return fire
}

// awaitAlerts waits until the right alerts fire, and no others.
func awaitAlerts(t *testing.T, server *backend.Server, path string, want map[string]string) {
	t.Helper()
	fire := make(map[string]string)
	harness.Eventually(t, func() bool {
		body, err := server.Get(path, nil)
		require.NoError(t, err)
		fire = alertsOf(t, body)
		return maps.Equal(want, fire)
	}, "the right alerts fire: %v", &fire)
}

var naming = regexp.MustCompile(`(user|kill[._]requester|kill[._]initiator)[._](id|name|title)|client[._]address`)

// Every answer that names somebody says how that is known.
func TestQueriesSayHowItIsKnown(t *testing.T) {
	t.Parallel()
	var logsQL queriesFile
	harness.ReadYAML(t, "deploy/queries/victorialogs/queries.yaml", &logsQL)
	queries := slices.Collect(maps.Values(readESQL(t)))
	for _, panel := range readPanels(t) {
		queries = append(queries, panel.Expr)
	}
	for _, query := range logsQL.Queries {
		queries = append(queries, query.Query)
	}
	for _, file := range []string{"loki/rules", "victorialogs/rules", "loki/incidents-rules", "victorialogs/incidents-rules"} {
		var rules rulesFile
		harness.ReadYAML(t, "deploy/queries/"+file+".yaml", &rules)
		for _, group := range rules.Groups {
			for _, rule := range group.Rules {
				queries = append(queries, rule.Expr)
			}
		}
	}
	told := 0
	for _, query := range queries {
		if naming.MatchString(query) {
			told++
			assert.Regexp(t, `kill[._]evidence`, query)
		}
	}
	assert.Greater(t, told, 20)
}

var documentedCondition = regexp.MustCompile("with\\s+the\\s+condition\\s+`([^`]+)`")

// leaveOut checks that the condition of a page leaves out alice's Ansible run, and nothing else. It goes before a part of
// the rule's expression.
func leaveOut(t *testing.T, document, name, expr, before string, want tally, ask func(*testing.T, string) tally) {
	t.Helper()
	if !slices.Contains([]string{"many-hosts-user", "many-hosts-requester", "many-hosts-unit"}, name) {
		return
	}
	text, err := os.ReadFile(harness.Path("docs", document+".md"))
	require.NoError(t, err)
	shown := documentedCondition.FindStringSubmatch(string(text))
	require.Len(t, shown, 2)
	condition := strings.Replace(shown[1], "10.0.0.9", "10.0.0.5", 1)
	require.NotEqual(t, shown[1], condition)
	require.Contains(t, expr, before)
	rest := maps.Clone(want)
	maps.DeleteFunc(rest, func(row string, _ float64) bool {
		return strings.Contains(row, "alice") || strings.Contains(row, mariadb)
	})
	assert.Len(t, rest, len(want)-1)
	assert.Equal(t, rest, ask(t, strings.Replace(expr, before, " "+condition+before, 1)), "%s", condition)
}

var intervalPattern = regexp.MustCompile(`interval: \w+`)

// frequent returns the rules in a file for a backend, evaluated more often than shipped, so that a test need not wait.
func frequent(t *testing.T, backend, file string) []byte {
	t.Helper()
	rules, err := os.ReadFile(harness.Path("deploy", "queries", backend, file))
	require.NoError(t, err)
	return intervalPattern.ReplaceAll(rules, []byte("interval: 1s"))
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
		assert.Len(t, shown, 8, "the eight questions in %s", document)
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
