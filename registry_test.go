// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
)

// readYAML reads a file as the collector reads its configuration.
func readYAML(t *testing.T, path string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	retrieved, err := confmap.NewRetrievedFromYAML(text)
	require.NoError(t, err)
	raw, err := retrieved.AsRaw()
	require.NoError(t, err)
	return raw.(map[string]any)
}

// list returns the sections of a list.
func list(value any) (all []map[string]any) {
	elements, _ := value.([]any)
	for _, each := range elements {
		all = append(all, each.(map[string]any))
	}
	return all
}

// registered returns the types of the attributes in the registry, and the attributes of each event there.
func registered(t *testing.T) (types map[string]string, events map[string]map[string]bool) {
	t.Helper()
	types, events = make(map[string]string), make(map[string]map[string]bool)
	for _, group := range list(readYAML(t, filepath.Join("registry", "attributes.yaml"))["groups"]) {
		for _, attribute := range list(group["attributes"]) {
			id := attribute["id"].(string)
			assert.NotContains(t, types, id, "twice")
			assert.NotEmpty(t, attribute["brief"], id)
			assert.NotEmpty(t, attribute["stability"], id)
			types[id] = attribute["type"].(string)
		}
	}
	for _, group := range list(readYAML(t, filepath.Join("registry", "events.yaml"))["groups"]) {
		refs := make(map[string]bool)
		for _, attribute := range list(group["attributes"]) {
			ref := attribute["ref"].(string)
			if strings.HasPrefix(ref, "kill.") {
				assert.Contains(t, types, ref, group["id"])
			}
			refs[ref] = true
		}
		events[group["name"].(string)] = refs
	}
	return types, events
}

// TestRegistry compares the registry with the attributes that the code writes and that the documentation explains.
func TestRegistry(t *testing.T) {
	t.Parallel()
	types, events := registered(t)
	assert.Len(t, events, 5)
	literal := regexp.MustCompile(`"(kill(?:\.[a-z0-9_]+)+)"`)
	sources, err := filepath.Glob(filepath.Join("internal", "telemetry", "*.go"))
	require.NoError(t, err)
	var code, pages strings.Builder
	for _, path := range sources {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		code.Write(text)
	}
	written := 0
	for _, m := range literal.FindAllStringSubmatch(code.String(), -1) {
		written++
		if _, isEvent := events[m[1]]; !isEvent {
			assert.Contains(t, types, m[1], "the code writes it")
		}
	}
	assert.Greater(t, written, 80)
	for _, page := range []string{"events.md", "outcomes.md", "incidents.md"} {
		text, err := os.ReadFile(filepath.Join("docs", page))
		require.NoError(t, err)
		pages.Write(text)
	}
	for id := range types {
		assert.True(t, explained(pages.String(), id), "%s: docs/events.md, outcomes.md and incidents.md do not explain it", id)
	}
}

// TestListsAreTexts checks that configurations for backends without lists, such as VictoriaLogs, make texts of all lists that records have:
// otherwise such a backend keeps how the protocol writes a list. Incidents come to a gateway from agents with the connector.
func TestListsAreTexts(t *testing.T) {
	t.Parallel()
	types, _ := registered(t)
	all := []string{"container.image.tags"} // not ours, but written
	for name, written := range types {
		if written == "string[]" {
			all = append(all, name)
		}
	}
	assert.Len(t, all, 11)
	incident := func(name string) bool { return strings.HasPrefix(name, "kill.incident.") }
	for path, has := range map[string]func(string) bool{
		"agent-victorialogs.yaml": func(name string) bool { return !incident(name) },
		"incidents.yaml":          incident,
		"gateway.yaml":            func(string) bool { return true },
		"gateway-incidents.yaml":  func(string) bool { return true },
		"fleet/from-kafka.yaml":   func(string) bool { return true },
	} {
		text, err := os.ReadFile(filepath.Join("configs", path))
		require.NoError(t, err)
		for _, name := range all {
			statement := fmt.Sprintf("set(log.attributes[%[1]q], String(log.attributes[%[1]q])) where log.attributes[%[1]q] != nil", name)
			assert.Equal(t, has(name), strings.Contains(string(text), statement), "%s: %s", path, name)
		}
	}
}

// explained reports whether a page names an attribute, whole or as the ending that follows another one.
func explained(pages, id string) bool {
	for name := id; name != ""; {
		if strings.Contains(pages, "`"+name+"`") {
			return true
		}
		_, rest, ok := strings.Cut(strings.TrimPrefix(name, "."), ".")
		if !ok {
			return false
		}
		name = "." + rest
	}
	return false
}

// TestRegistryOfGoldens compares the registry with records as they are: the attributes of each event, and their types.
func TestRegistryOfGoldens(t *testing.T) {
	t.Parallel()
	types, events := registered(t)
	seen := map[string]bool{}
	own := filepath.Join("testdata", "golden")
	for _, name := range []string{
		filepath.Join(own, "behind.yaml"), filepath.Join(own, "behind_log.yaml"), filepath.Join(own, "outcomes.yaml"),
		filepath.Join(own, "seed.yaml"), filepath.Join(own, "seed_original.yaml"), filepath.Join(own, "tamper.yaml"),
		filepath.Join(own, "traced.yaml"), filepath.Join("connector", "killincident", "testdata", "restart.yaml"),
	} {
		for _, resource := range list(readYAML(t, name)["resourceLogs"]) {
			for _, scope := range list(resource["scopeLogs"]) {
				for _, record := range list(scope["logRecords"]) {
					event := record["eventName"].(string)
					require.Contains(t, events, event)
					seen[event] = true
					for _, attribute := range list(record["attributes"]) {
						key := attribute["key"].(string)
						assert.True(t, events[event][key], "%s: %s has %s", name, event, key)
						if want, ours := types[key]; ours {
							assert.Equal(t, want, typeOf(attribute["value"].(map[string]any)), key)
						}
					}
				}
			}
		}
	}
	assert.Len(t, seen, 5, "each event is in a golden file")
}

// typeOf returns the type of a value as the registry calls it.
func typeOf(value map[string]any) string {
	for kind := range value {
		switch kind {
		case "intValue":
			return "int"
		case "boolValue":
			return "boolean"
		case "doubleValue":
			return "double"
		case "arrayValue":
			return "string[]"
		}
	}
	return "string"
}
