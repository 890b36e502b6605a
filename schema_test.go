// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
	"github.com/auditkill/auditkillreceiver/internal/source/netlinksource"
)

// schemaFile is the JSON Schema of the configuration, which editors read. `go test -run TestSchema -update .` writes it.
var schemaFile = filepath.Join("configs", "audit_kill.schema.json")

// TestSchema makes the schema of the configuration's types, its defaults and the table in README.md.
func TestSchema(t *testing.T) {
	t.Parallel()
	described := descriptions(t)
	s := object(t, reflect.ValueOf(*createDefaultConfig().(*Config)), "", described)
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "audit_kill"
	s["description"] = "The OpenTelemetry Collector receiver audit_kill: which process sent which signal to which."
	got, err := json.MarshalIndent(s, "", "  ")
	require.NoError(t, err)
	got = append(got, '\n')
	if *update {
		require.NoError(t, os.WriteFile(schemaFile, got, 0o644))
	}
	want, err := os.ReadFile(schemaFile)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), "write it anew with -update")
}

// descriptions returns what README.md says about each key.
func descriptions(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	described := make(map[string]string)
	key := regexp.MustCompile("`([a-z_.:]+)`")
	link := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		if len(cells) != 3 || !strings.HasPrefix(cells[0], "| `") {
			continue
		}
		for _, m := range key.FindAllStringSubmatch(cells[0], -1) {
			meaning := link.ReplaceAllString(strings.TrimSuffix(cells[2], " |"), "$1")
			described[m[1]] = strings.ReplaceAll(meaning, "`", "")
		}
	}
	return described
}

// choices are the only ones that some keys may have.
func choices(path string) []string {
	switch path {
	case "file::start_at":
		return []string{startAtEnd, startAtBeginning}
	case "netlink::mode":
		var modes []string
		for _, mode := range netlinksource.Modes() {
			modes = append(modes, string(mode))
		}
		return modes
	case "command_line":
		return []string{string(redact.Redacted), string(redact.Program), string(redact.Full), string(redact.Off)}
	case "outcome::unsent":
		return []string{string(kill.UnsentNone), string(kill.UnsentKilled), string(kill.UnsentAll)}
	}
	return nil
}

// object returns the schema of a section.
func object(t *testing.T, section reflect.Value, prefix string, described map[string]string) map[string]any {
	t.Helper()
	properties := map[string]any{}
	for i := range section.NumField() {
		key := section.Type().Field(i).Tag.Get(confmap.MapstructureTag)
		if key == "" {
			continue
		}
		p := property(t, section.Field(i), prefix+key, described)
		if meaning := described[prefix+key]; meaning != "" {
			p["description"] = meaning
		} else if p["properties"] == nil && !strings.HasPrefix(prefix, "retry_on_failure") {
			t.Errorf("README.md does not say what %s%s means", prefix, key)
		}
		properties[key] = p
	}
	return map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
}

// duration is what time.ParseDuration reads.
const duration = `^[-+]?([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$`

// property returns the schema of a key, with its default.
func property(t *testing.T, value reflect.Value, path string, described map[string]string) map[string]any {
	t.Helper()
	optional := map[string]any{
		"file": defaultFileConfig(), "netlink": defaultNetlinkConfig(), "ebpf": defaultEBPFConfig(), "plugin": defaultPluginConfig(),
	}
	if section, ok := optional[path]; ok {
		s := object(t, reflect.ValueOf(section), path+confmap.KeyDelimiter, described)
		s["type"] = []string{"object", "null"}
		return s
	}
	p := map[string]any{}
	switch typed := value.Interface().(type) {
	case time.Duration:
		p["type"], p["pattern"], p["default"] = "string", duration, typed.String()
		return p
	case *bool:
		p["type"] = []string{"boolean", "null"}
		return p
	case *component.ID:
		p["type"] = []string{"string", "null"}
		return p
	}
	switch value.Kind() {
	case reflect.Bool:
		p["type"], p["default"] = "boolean", value.Bool()
	case reflect.Int:
		p["type"], p["default"] = "integer", value.Int()
	case reflect.Float64:
		p["type"], p["default"] = "number", value.Float()
	case reflect.String:
		p["type"] = "string"
		if value.String() != "" {
			p["default"] = value.String()
		}
	case reflect.Slice:
		items := map[string]any{"type": "string"}
		if path == "signals" {
			items["type"] = []string{"string", "integer"}
		}
		p["type"], p["items"] = "array", items
	case reflect.Struct:
		return object(t, value, path+confmap.KeyDelimiter, described)
	default:
		t.Errorf("%s: no schema for a %s", path, value.Type())
	}
	if all := choices(path); all != nil {
		p["enum"] = all
	}
	return p
}
