// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/bulk"
	"github.com/auditkill/auditkillreceiver/e2e/internal/certificates"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// The queries in ES|QL. There is no Elasticsearch here to run them. The tests show that each query uses
// only fields and values that are in the documents which the gateway sends for the simulated fleet, and
// that the files for Kibana are consistent.

// indexed is an indexed document.
type indexed struct {
	index, id string
	fields    map[string]any
}

// indexedIn returns the documents in a store as ES|QL sees them.
func indexedIn(t *testing.T, store *bulk.Store) []indexed {
	t.Helper()
	documents, _ := store.Documents()
	all := make([]indexed, len(documents))
	for i, d := range documents {
		all[i] = indexed{index: d.Index, id: d.ID, fields: make(map[string]any)}
		var fields map[string]any
		require.NoError(t, json.Unmarshal(d.Source, &fields))
		flatten(all[i].fields, "", fields)
	}
	return all
}

// flatten names fields as ES|QL does. The attributes of the record and of the resource have names with
// and without the prefix of their object (passthrough, in the mapping for logs-*.otel-*).
func flatten(into map[string]any, prefix string, fields map[string]any) {
	for name, value := range fields {
		name = prefix + name
		if inner, isObject := value.(map[string]any); isObject {
			flatten(into, name+".", inner)
			continue
		}
		into[name] = value
		for _, passthrough := range []string{"resource.attributes.", "attributes."} {
			if short, found := strings.CutPrefix(name, passthrough); found {
				into[short] = value
			}
		}
	}
}

// startElasticGateway runs a gateway that joins incidents and sends to a store, and returns a connection to the gateway.
func startElasticGateway(t *testing.T) (*bulk.Store, *grpc.ClientConn) {
	t.Helper()
	store := bulk.NewStore(t, func(*http.Request) {})
	files := certificates.New(t)
	environment := files.Environment()
	environment["ELASTICSEARCH_ENDPOINT"], environment["LISTEN_ENDPOINT"] = store.URL, harness.FreeAddress(t)
	gateway := shipped.Start(t, "configs/gateway-elastic.yaml", environment,
		collector.Arguments("--config", harness.Path("configs/options/elastic-incidents.yaml")))
	t.Cleanup(gateway.Stop)
	return store, certificates.Connect(t, environment["LISTEN_ENDPOINT"], files)
}

// Every query uses only fields and values that are in the documents.
func TestQueriesElasticFields(t *testing.T) {
	store, connection := startElasticGateway(t)
	count := sendFleet(t, connection, fleetEvents(), fleetNow())
	documents := indexedIn(t, store) // the gateway answers once everything is indexed
	joined := 0
	known := make(map[string]map[string]bool) // the values of each field
	for _, d := range documents {
		assert.Equal(t, "logs-auditkill.otel-default", d.index)
		assert.Equal(t, d.fields["log.record.uid"], d.id)
		if d.fields["event_name"] == "kill.incident" {
			joined++
		}
		for name, value := range d.fields {
			if known[name] == nil {
				known[name] = make(map[string]bool)
			}
			known[name][fmt.Sprint(value)] = true
		}
	}
	assert.Positive(t, joined)
	require.Len(t, documents, count+joined)
	for name, query := range readESQL(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from := regexp.MustCompile(`^FROM (\S+)`).FindStringSubmatch(query)
			require.Len(t, from, 2)
			matches, err := path.Match(from[1], "logs-auditkill.otel-default")
			require.NoError(t, err)
			assert.True(t, matches, "the data stream")
			assert.Empty(t, unknownIn(query, known))

			// A wrong query is detected.
			assert.NotEmpty(t, unknownIn(strings.Replace(query, "host.name", "hostname.name", 1)+"| SORT kill.targets", known))
		})
	}
}

// readESQL returns all queries, including those of the rules.
func readESQL(t *testing.T) map[string]string {
	t.Helper()
	queries := make(map[string]string)
	for _, search := range readObjects(t)["search"] {
		queries[search.ID] = search.query(t)
	}
	for _, rule := range readDetectionRules(t) {
		queries["rule "+rule.RuleID] = rule.Query
	}
	require.Len(t, queries, len(questions)+len([]string{incidents})+len(ruleNames))
	return queries
}

// Elasticsearch receives span events as documents among the log records. These signals also have log
// records of their own, so no query may count them a second time.
func TestQueriesElasticSpanEvents(t *testing.T) {
	store, connection := startElasticGateway(t)
	var data json.RawMessage
	harness.ReadYAML(t, "testdata/golden/traces.yaml", &data)
	traces, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(data)
	require.NoError(t, err)
	_, err = ptraceotlp.NewGRPCClient(connection).Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(traces))
	require.NoError(t, err)

	var events []indexed
	for _, d := range indexedIn(t, store) {
		if d.index == "logs-auditkill.otel-default" {
			events = append(events, d)
		}
	}
	require.NotEmpty(t, events)
	lacking := []string{"kill.complete", "kill.escalated"}
	ids := make(map[string]bool) // a duplicate has the same id
	for _, event := range events {
		assert.Regexp(t, "^[0-9a-f]{16}-[0-9]+-[0-9]*-[0-9]+$", event.id)
		assert.False(t, ids[event.id], "two documents have the id %s", event.id)
		ids[event.id] = true
		assert.Equal(t, "signal", event.fields["event_name"])
		for _, field := range lacking {
			assert.NotContains(t, event.fields, field)
		}
	}
	for name, query := range readESQL(t) {
		lacks := slices.ContainsFunc(lacking, func(field string) bool { return strings.Contains(query, "WHERE "+field+" ==") })
		reported := strings.Contains(query, `WHERE event_name == "kill.`)
		assert.True(t, lacks || reported || name == "auditkill-silent-hosts", "%s: %s", name, query)
	}
}

var (
	esqlField = regexp.MustCompile(`@timestamp|\b[a-z_]+(?:\.[a-z_]+)*\b`)
	esqlValue = regexp.MustCompile(`([a-z_.]+) (?:==|(?:NOT )?IN) (?:"([^"]*)"|\(([^)]*)\)|(\w+))`)
	esqlGiven = regexp.MustCompile(`([a-z_.]+) = |%\{([a-z_]+)\}`)
	// Words that must be quoted if they are names of columns, and other words in lower case.
	esqlReserved = []string{
		"and", "as", "asc", "by", "desc", "first", "in", "is", "last", "like", "not", "nulls", "on", "or", "rlike", "where", "with",
	}
	esqlWords = []string{"true", "false", "null", "hour", "_id", "_index", "_version"}
)

// unknownIn returns the fields of a query, and the values that it compares them with, that no document
// has. It also returns the names that ES|QL does not allow.
func unknownIn(query string, known map[string]map[string]bool) []string {
	var unknown []string
	given := []string{}
	for _, match := range esqlGiven.FindAllStringSubmatch(query, -1) {
		given = append(given, match[1]+match[2])
	}
	_, rest, _ := strings.Cut(query, "\n") // after the name of the data stream
	for _, name := range esqlField.FindAllString(regexp.MustCompile(`"[^"]*"`).ReplaceAllString(rest, `""`), -1) {
		permitted := known[name] != nil || slices.Contains(given, name) || slices.Contains(esqlWords, name)
		if !permitted || slices.Contains(esqlReserved, name) {
			unknown = append(unknown, name)
		}
	}
	for _, match := range esqlValue.FindAllStringSubmatch(query, -1) {
		for value := range strings.SplitSeq(match[2]+match[3]+match[4], ",") {
			value = strings.Trim(value, `" `)
			if !known[match[1]][value] {
				unknown = append(unknown, match[1]+" "+value)
			}
		}
	}
	return unknown
}

// savedObject is an object that Kibana imports.
type savedObject struct {
	ID         string `json:"id"`
	Type       string `json:"type"`
	References []struct {
		ID   string `json:"id"`
		Name string `json:"name"`
		Type string `json:"type"`
	} `json:"references"`
	CoreMigrationVersion string `json:"coreMigrationVersion"`
	TypeMigrationVersion string `json:"typeMigrationVersion"`
	Attributes           struct {
		Title       string `json:"title"`
		Description string `json:"description"`
		TimeRestore bool   `json:"timeRestore"`
		PanelsJSON  string `json:"panelsJSON"`
		Meta        struct {
			SearchSourceJSON string `json:"searchSourceJSON"`
		} `json:"kibanaSavedObjectMeta"`
	} `json:"attributes"`
	ExportedCount int `json:"exportedCount"`
}

// query returns the ES|QL of a Discover session.
func (o *savedObject) query(t *testing.T) string {
	t.Helper()
	var source struct {
		Query struct {
			ESQL string `json:"esql"`
		} `json:"query"`
	}
	require.NoError(t, json.Unmarshal([]byte(o.Attributes.Meta.SearchSourceJSON), &source))
	require.NotEmpty(t, source.Query.ESQL)
	return source.Query.ESQL
}

// readNDJSON reads a file of NDJSON.
func readNDJSON[T any](t *testing.T, name string) []T {
	t.Helper()
	text, err := os.ReadFile(harness.Path("deploy", "queries", "elastic", name))
	require.NoError(t, err)
	var all []T
	for line := range bytes.Lines(text) {
		var one T
		require.NoError(t, json.Unmarshal(line, &one), "%s", line)
		all = append(all, one)
	}
	return all
}

// readObjects returns the saved objects by their type. The last line of the file has their number.
func readObjects(t *testing.T) map[string][]savedObject {
	t.Helper()
	all := readNDJSON[savedObject](t, "saved-objects.ndjson")
	last := len(all) - 1
	require.Equal(t, last, all[last].ExportedCount)
	objects := make(map[string][]savedObject)
	for _, o := range all[:last] {
		objects[o.Type] = append(objects[o.Type], o)
	}
	return objects
}

// The saved objects for Kibana are consistent: a Discover session for each question, all of them on
// the dashboard.
func TestQueriesElasticSavedObjects(t *testing.T) {
	t.Parallel()
	objects := readObjects(t)
	require.Len(t, objects["index-pattern"], 1)
	assert.Equal(t, "logs-auditkill.otel-*", objects["index-pattern"][0].Attributes.Title)
	titles := make(map[string]string)
	for _, o := range slices.Concat(objects["index-pattern"], objects["search"], objects["dashboard"]) {
		assert.NotEmpty(t, o.CoreMigrationVersion, "%s", o.ID)
		assert.NotEmpty(t, o.TypeMigrationVersion, "%s", o.ID)
	}
	for _, o := range objects["search"] {
		titles[o.ID] = o.Attributes.Title
		assert.NotEmpty(t, o.Attributes.Description, "%s", o.ID)
		assert.True(t, o.Attributes.TimeRestore, "%s", o.ID)
	}
	want := map[string]string{"auditkill-incidents": "auditkill: " + incidents}
	for name, q := range questions {
		want["auditkill-"+name] = "auditkill: " + q.title
	}
	assert.Equal(t, want, titles)

	require.Len(t, objects["dashboard"], 1)
	dashboard := objects["dashboard"][0]
	var panels []struct {
		PanelIndex   string `json:"panelIndex"`
		PanelRefName string `json:"panelRefName"`
		Type         string `json:"type"`
	}
	require.NoError(t, json.Unmarshal([]byte(dashboard.Attributes.PanelsJSON), &panels))
	require.Len(t, panels, len(want))
	require.Len(t, dashboard.References, len(want))
	for i, panel := range panels {
		reference := dashboard.References[i]
		assert.Equal(t, panel.PanelIndex+":"+panel.PanelRefName, reference.Name)
		assert.Equal(t, panel.Type, reference.Type)
		assert.Contains(t, titles, reference.ID)
	}
}

// detectionRule is a rule of Elastic Security.
type detectionRule struct {
	RuleID        string   `json:"rule_id"`
	Name          string   `json:"name"`
	Description   string   `json:"description"`
	Type          string   `json:"type"`
	Language      string   `json:"language"`
	Query         string   `json:"query"`
	Severity      string   `json:"severity"`
	RiskScore     int      `json:"risk_score"`
	Interval      string   `json:"interval"`
	From          string   `json:"from"`
	Author        []string `json:"author"`
	ExportedRules int      `json:"exported_rules_count"`
}

func readDetectionRules(t *testing.T) []detectionRule {
	t.Helper()
	all := readNDJSON[detectionRule](t, "detection-rule.ndjson")
	last := len(all) - 1
	require.Equal(t, last, all[last].ExportedRules)
	return all[:last]
}

// The detection rules have what the import needs. Rules that count hosts return the counts; the others
// return documents with their ids, so that each document alerts once.
func TestQueriesElasticDetectionRules(t *testing.T) {
	t.Parallel()
	var ids []string
	for _, rule := range readDetectionRules(t) {
		ids = append(ids, rule.RuleID)
		q := questions[strings.TrimPrefix(rule.RuleID, "auditkill-")]
		assert.Equal(t, "auditkill: "+q.title, rule.Name)
		assert.Equal(t, []string{"esql", "esql"}, []string{rule.Type, rule.Language})
		assert.NotEmpty(t, rule.Description)
		assert.Contains(t, []string{"low", "medium", "high", "critical"}, rule.Severity)
		assert.Positive(t, rule.RiskScore)
		assert.Equal(t, []string{"5m", "now-11m"}, []string{rule.Interval, rule.From})
		counts, whole := strings.Contains(rule.Query, "| STATS "), strings.Contains(rule.Query, " METADATA _id, _index, _version\n")
		assert.NotEqual(t, counts, whole, "%s", rule.Query)
	}
	want := make([]string, len(ruleNames))
	for i, name := range ruleNames {
		want[i] = "auditkill-" + name
	}
	assert.Equal(t, want, ids)
}
