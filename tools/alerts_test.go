// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package tools

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const runbooks = "https://github.com/auditkill/auditkillreceiver/blob/main/docs/runbooks/"

// alert is what all alerts have, whatever evaluates them.
type alert struct {
	file, name, severity, summary, description, runbook string
}

// Every alert says what it is about, how urgent it is, and which page helps. An alert of the same name is the same everywhere.
func TestAlertsHaveRunbooks(t *testing.T) {
	t.Parallel()
	severities := []string{"info", "warning", "critical"}
	first := make(map[string]alert)
	for _, a := range alerts(t) {
		if !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(a.name) || a.summary == "" || a.description == "" {
			t.Errorf("%s: alert %q needs a name such as oom-kills, a summary and a description", a.file, a.name)
		}
		if !slices.Contains(severities, a.severity) {
			t.Errorf("%s: alert %s has severity %q, not one of %v", a.file, a.name, a.severity, severities)
		}
		if want := runbooks + a.name + ".md"; a.runbook != want {
			t.Errorf("%s: the runbook_url of alert %s is %q, not %s", a.file, a.name, a.runbook, want)
		}
		before, known := first[a.name]
		if !known {
			first[a.name] = a
		} else if before.severity != a.severity || before.description != a.description {
			t.Errorf("alert %s has another severity or description in %s than in %s", a.name, a.file, before.file)
		}
	}
	for _, rule := range detectionRules(t) {
		name := strings.TrimPrefix(rule.RuleID, "auditkill-")
		if !slices.Equal(rule.References, []string{runbooks + name + ".md"}) {
			t.Errorf("detection rule %s refers to %v, not to its runbook", rule.RuleID, rule.References)
		}
		if first[name].name == "" {
			t.Errorf("detection rule %s is an alert nowhere else", rule.RuleID)
		}
	}
	checkRunbooks(t, first)
}

// checkRunbooks fails if an alert has no page, a page no alert, or a page lacks a part.
func checkRunbooks(t *testing.T, alerts map[string]alert) {
	t.Helper()
	index := read(t, "../docs/runbooks/README.md")
	pages, err := filepath.Glob("../docs/runbooks/*.md")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, path := range pages {
		name := strings.TrimSuffix(filepath.Base(path), ".md")
		if name == "README" {
			continue
		}
		found++
		if alerts[name].name == "" {
			t.Errorf("%s is the runbook of no alert", path)
		}
		if !strings.Contains(index, "]("+name+".md)") {
			t.Errorf("docs/runbooks/README.md lacks %s", name)
		}
		page := read(t, path)
		if !strings.Contains(page, "Alert `"+name+"`. "+alerts[name].description) {
			t.Errorf("%s does not begin with the alert's name and description", path)
		}
		for _, part := range []string{"What it means", "What to look at first", "What to run", "When it is harmless"} {
			if !strings.Contains(page, "\n## "+part+"\n") {
				t.Errorf("%s lacks %q", path, part)
			}
		}
	}
	if found != len(alerts) {
		t.Errorf("%d alerts have %d runbooks", len(alerts), found)
	}
}

// The rules for Prometheus use only metrics that the receiver and the connector document, by the names that a collector exposes: its
// own counters have no _total.
func TestAlertsUseDocumentedMetrics(t *testing.T) {
	t.Parallel()
	documented := read(t, "../documentation.md") + read(t, "../connector/killincident/documentation.md")
	rules := read(t, "../deploy/queries/prometheus/rules.yaml")
	names := regexp.MustCompile(`otelcol_(?:receiver|connector)_\w+`).FindAllString(rules, -1)
	if len(names) < 20 {
		t.Errorf("only %d names were found", len(names))
	}
	for _, name := range names {
		if !strings.Contains(documented, "### "+name+"\n") {
			t.Errorf("metric %s is not documented", name)
		}
	}
}

// Two replicas of the connector count the same, under another instance each: what is recorded of its sums counts that once.
func TestReplicasCountOnce(t *testing.T) {
	t.Parallel()
	var rules struct {
		Groups []struct {
			Rules []struct {
				Record string `yaml:"record"`
				Expr   string `yaml:"expr"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "../deploy/queries/prometheus/rules.yaml")), &rules); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, group := range rules.Groups {
		for _, r := range group.Rules {
			if !regexp.MustCompile(`kill_incident_\w+_total`).MatchString(r.Expr) {
				continue
			}
			found++
			if r.Record == "" || !strings.HasPrefix(r.Expr, "max without (instance) (") {
				t.Errorf("%q counts the signals of each replica: %s", r.Record, r.Expr)
			}
		}
	}
	if found != 3 {
		t.Errorf("%d rules use the connector's sums, not 3", found)
	}
}

// alerts returns the alerts of the rules for Loki, vmalert and Prometheus, which have one format.
func alerts(t *testing.T) (all []alert) {
	t.Helper()
	for file, least := range map[string]int{
		"loki/rules": 8, "victorialogs/rules": 8, "prometheus/rules": 8, "loki/incidents-rules": 1, "victorialogs/incidents-rules": 1,
	} {
		var rules struct {
			Groups []struct {
				Rules []struct {
					Alert       string            `yaml:"alert"`
					Labels      map[string]string `yaml:"labels"`
					Annotations map[string]string `yaml:"annotations"`
				} `yaml:"rules"`
			} `yaml:"groups"`
		}
		if err := yaml.Unmarshal([]byte(read(t, "../deploy/queries/"+file+".yaml")), &rules); err != nil {
			t.Fatal(err)
		}
		before := len(all)
		for _, group := range rules.Groups {
			for _, r := range group.Rules {
				if r.Alert != "" { // otherwise it records
					all = append(all, alert{
						file, r.Alert, r.Labels["severity"], r.Annotations["summary"], r.Annotations["description"],
						r.Annotations["runbook_url"],
					})
				}
			}
		}
		if len(all)-before < least {
			t.Errorf("%s has only %d alerts", file, len(all)-before)
		}
	}
	return all
}

type detectionRule struct {
	RuleID     string   `json:"rule_id"`
	References []string `json:"references"`
}

func detectionRules(t *testing.T) (all []detectionRule) {
	t.Helper()
	for line := range bytes.Lines([]byte(read(t, "../deploy/queries/elastic/detection-rule.ndjson"))) {
		var rule detectionRule
		if err := json.Unmarshal(line, &rule); err != nil {
			t.Fatal(err)
		}
		if rule.RuleID != "" { // the last line counts them
			all = append(all, rule)
		}
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
