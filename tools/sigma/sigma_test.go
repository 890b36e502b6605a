// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package sigma checks the Sigma rules in deploy/sigma: each is parsed as SIEMs do, and asked about the receiver's records.
package sigma

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bradleyjkemp/sigma-go"
	"github.com/bradleyjkemp/sigma-go/evaluator"
	"go.yaml.in/yaml/v3"
)

const folder = "../../deploy/sigma/"

// record is a record of the receiver: its attributes, those of its resource, and what the configurations make of the rest.
type record map[string]any

// changed returns a copy of a record with other attributes; nil removes one.
func (r record) changed(changes record) record {
	all := make(record, len(r))
	for _, from := range []record{r, changes} {
		for name, value := range from {
			if all[name] = value; value == nil {
				delete(all, name)
			}
		}
	}
	return all
}

// Each rule matches the records that it is about, and none that are nearly such.
func TestRules(t *testing.T) {
	t.Parallel()
	kill := records(t, "seed")[0]
	refused, tamper := records(t, "variants")[1], records(t, "tamper")[0]
	restart := kill.changed(record{
		"process.executable.path": "/usr/lib/systemd/systemd", "kill.cause": "service_restart", "kill.requester.name": "systemctl",
		"user.name": "alice", "client.address": "10.0.0.5",
	})
	nobody := kill.changed(record{"user.name": nil})
	tests := map[string]struct{ matches, others []record }{
		"tampering": {[]record{tamper}, []record{kill}},
		"security-agent-killed": {
			[]record{kill.changed(record{"kill.target.name": "auditd"})},
			[]record{
				kill, tamper,
				kill.changed(record{"kill.target.name": "auditd", "severity_number": 9}), // ignored
				restart.changed(record{"kill.target.name": "auditd"}),
			},
		},
		"sender-in-writable-folder": {
			[]record{kill.changed(record{"process.executable.path": "/tmp/x"})},
			[]record{
				kill, kill.changed(record{"process.executable.path": "/opt/tmp/x"}),
				kill.changed(record{"process.executable.path": "/tmp/x", "severity_number": 9}),
			},
		},
		"fatal-signal": {
			[]record{kill, restart, nobody},
			[]record{refused, tamper, kill.changed(record{"kill.signal.name": "SIGHUP"})},
		},
		// Through systemd and containerd as well.
		"fatal-signal-on-request": {
			[]record{
				restart, kill.changed(record{"user.name": "alice"}),
				restart.changed(record{"process.executable.path": "/usr/bin/containerd-shim-runc-v2", "kill.cause": "container_stop"}),
			},
			[]record{refused, tamper, nobody, restart.changed(record{"kill.cause": "session_end"})},
		},
		"fatal-signal-by-program": {
			[]record{kill, nobody, restart.changed(record{"kill.sender.mount_namespace": "other"})},
			[]record{refused, tamper, restart, kill.changed(record{"process.executable.path": nil})},
		},
		"attempt-refused": {[]record{refused}, []record{kill, tamper, refused.changed(record{"error.type": "ESRCH"})}},
	}
	config := mapping(t)
	rules, err := filepath.Glob(folder + "*.yml")
	if err != nil || len(rules) != len(tests) {
		t.Fatalf("%d rules for %d tests: %v", len(rules), len(tests), err)
	}
	for _, path := range rules {
		name := strings.TrimSuffix(filepath.Base(path), ".yml")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rule, err := sigma.ParseRule(read(t, path))
			if err != nil {
				t.Fatal(err)
			}
			checkHead(t, path, rule.ID, rule.Title, rule.Description, rule.Level, rule.References)
			fields := 0
			for _, search := range rule.Detection.Searches {
				for _, matcher := range search.EventMatchers {
					for _, field := range matcher {
						fields++
						if config.FieldMappings[field.Field].TargetNames == nil {
							t.Errorf("field %s is not in fields.yaml", field.Field)
						}
					}
				}
			}
			if fields == 0 {
				t.Error("no field was found")
			}
			evaluate := evaluator.ForRule(rule, evaluator.WithConfig(config))
			for want, of := range map[bool][]record{true: tests[name].matches, false: tests[name].others} {
				for i, r := range of {
					result, err := evaluate.Matches(t.Context(), map[string]any(r))
					if err != nil {
						t.Fatal(err)
					}
					if result.Match != want {
						t.Errorf("record %d: the rule matches: %t, not %t: %v", i, result.Match, want, result.SearchResults)
					}
				}
			}
		})
	}
}

// correlation is a rule as the Sigma correlation specification 2.0 has it. The parser does not know these yet.
type correlation struct {
	Title          string   `yaml:"title"`
	ID             string   `yaml:"id"`
	Status         string   `yaml:"status"`
	Description    string   `yaml:"description"`
	References     []string `yaml:"references"`
	Author         string   `yaml:"author"`
	Date           string   `yaml:"date"`
	Tags           []string `yaml:"tags"`
	FalsePositives []string `yaml:"falsepositives"`
	Level          string   `yaml:"level"`
	Correlation    struct {
		Type      string   `yaml:"type"`
		Rules     []string `yaml:"rules"`
		GroupBy   []string `yaml:"group-by"`
		Timespan  string   `yaml:"timespan"`
		Condition *struct {
			Field string `yaml:"field"`
			GTE   int    `yaml:"gte"`
		} `yaml:"condition"`
	} `yaml:"correlation"`
}

// Each correlation has what the specification requires for its type, refers to rules that exist, and uses fields that are mapped.
func TestCorrelations(t *testing.T) {
	t.Parallel()
	ids := make(map[string]bool)
	rules, _ := filepath.Glob(folder + "*.yml")
	for _, path := range rules {
		rule, err := sigma.ParseRule(read(t, path))
		if err != nil {
			t.Fatal(err)
		}
		ids[rule.ID] = true
	}
	config := mapping(t)
	paths, _ := filepath.Glob(folder + "correlations/*.yml")
	if len(ids) < 7 || len(paths) < 4 {
		t.Fatalf("only %d rules and %d correlations", len(ids), len(paths))
	}
	for _, path := range paths {
		var rule correlation
		strict := yaml.NewDecoder(bytes.NewReader(read(t, path)))
		strict.KnownFields(true)
		if err := strict.Decode(&rule); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		checkHead(t, path, rule.ID, rule.Title, rule.Description, rule.Level, rule.References)
		if ids[rule.ID] {
			t.Errorf("%s: its id is not its own", path)
		}
		c := rule.Correlation
		fields := c.GroupBy
		switch c.Type {
		case "value_count":
			if c.Condition == nil || c.Condition.GTE < 2 || len(c.Rules) != 1 {
				t.Fatalf("%s: a value_count needs a condition, and one rule", path)
			}
			fields = append(fields, c.Condition.Field)
		case "temporal_ordered":
			if c.Condition != nil || len(c.Rules) < 2 {
				t.Errorf("%s: a temporal_ordered needs rules, and no condition", path)
			}
		default:
			t.Errorf("%s: type %q is none that we use", path, c.Type)
		}
		for _, id := range c.Rules {
			if !ids[id] {
				t.Errorf("%s: there is no rule %s", path, id)
			}
		}
		for _, field := range fields {
			if config.FieldMappings[field].TargetNames == nil {
				t.Errorf("%s: field %s is not in fields.yaml", path, field)
			}
		}
		if _, err := time.ParseDuration(c.Timespan); err != nil || len(c.GroupBy) == 0 {
			t.Errorf("%s: timespan %q, grouped by %v", path, c.Timespan, c.GroupBy)
		}
	}
}

var (
	uuid   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	levels = regexp.MustCompile(`^(informational|low|medium|high|critical)$`)
)

// checkHead checks what all rules have. References are pages of this repository.
func checkHead(t *testing.T, path, id, title, description, level string, references []string) {
	t.Helper()
	if !uuid.MatchString(id) || !levels.MatchString(level) || title == "" || len(title) > 256 || len(description) < 16 || len(references) == 0 {
		t.Errorf("%s: id %q, level %q, title %q, description %q, references %v", path, id, level, title, description, references)
	}
	for _, reference := range references {
		page, ours := strings.CutPrefix(reference, "https://github.com/auditkill/auditkillreceiver/blob/main/")
		if _, err := os.Stat("../../" + page); !ours || err != nil {
			t.Errorf("%s: there is no %s: %v", path, reference, err)
		}
	}
}

// mapping reads fields.yaml. What it maps to are attributes of the registry.
func mapping(t *testing.T) sigma.Config {
	t.Helper()
	config, err := sigma.ParseConfig(read(t, folder+"fields.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	registry := string(read(t, "../../registry/attributes.yaml")) + string(read(t, "../../docs/events.md"))
	known := []string{"event.name", "severity_number", "host.name"}
	for field, to := range config.FieldMappings {
		if len(to.TargetNames) != 1 || !strings.Contains(registry+strings.Join(known, " "), to.TargetNames[0]) {
			t.Errorf("field %s is mapped to %v", field, to.TargetNames)
		}
	}
	return config
}

// records returns the records of a golden file of the receiver.
func records(t *testing.T, name string) (all []record) {
	t.Helper()
	type attributes []struct {
		Key   string         `yaml:"key"`
		Value map[string]any `yaml:"value"`
	}
	var logs struct {
		ResourceLogs []struct {
			Resource struct {
				Attributes attributes `yaml:"attributes"`
			} `yaml:"resource"`
			ScopeLogs []struct {
				LogRecords []struct {
					Attributes     attributes `yaml:"attributes"`
					EventName      string     `yaml:"eventName"`
					SeverityNumber int        `yaml:"severityNumber"`
				} `yaml:"logRecords"`
			} `yaml:"scopeLogs"`
		} `yaml:"resourceLogs"`
	}
	if err := yaml.Unmarshal(read(t, "../../testdata/golden/"+name+".yaml"), &logs); err != nil {
		t.Fatal(err)
	}
	for _, resource := range logs.ResourceLogs {
		for _, scope := range resource.ScopeLogs {
			for _, r := range scope.LogRecords {
				one := record{"event.name": r.EventName, "severity_number": r.SeverityNumber}
				for _, a := range append(resource.Resource.Attributes, r.Attributes...) {
					for _, value := range a.Value { // the only one, by its type
						one[a.Key] = fmt.Sprint(value)
					}
				}
				all = append(all, one)
			}
		}
	}
	return all
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
