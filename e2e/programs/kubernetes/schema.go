// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// JSON schemas of the kinds that our manifests have, made from their Go types: names and types of all keys. They do not have what Go
// types do not tell, such as which keys are required. Such a schema is smaller than the API server's by a factor of ten.

// schema is a JSON schema, draft 2020-12.
type schema map[string]any

// special are types that are written in another form than their fields.
var special = map[reflect.Type]schema{
	reflect.TypeFor[resource.Quantity]():  {"type": []string{"string", "number"}},
	reflect.TypeFor[intstr.IntOrString](): {"type": []string{"string", "integer"}},
	reflect.TypeFor[meta.Time]():          {"type": []string{"string", "null"}},
	reflect.TypeFor[meta.FieldsV1]():      {"type": "object"},
	reflect.TypeFor[[]byte]():             {"type": "string"},
}

// writeSchemas writes a file for each kind into a folder, by the names that kubeconform looks for.
func writeSchemas(folder string) {
	for name, newObject := range kinds {
		version, kind, _ := strings.Cut(name, " ")
		group, version, grouped := strings.Cut(version, "/")
		if !grouped {
			group, version = "", group
		}
		file := strings.ToLower(kind)
		if group != "" {
			file += "-" + strings.Split(group, ".")[0]
		}
		definitions := make(map[string]schema)
		root := schemaOf(reflect.TypeOf(newObject()).Elem(), definitions)
		root["$schema"], root["$defs"] = "https://json-schema.org/draft/2020-12/schema", definitions
		text, err := json.Marshal(root)
		check(name, err)
		check(folder, os.WriteFile(filepath.Join(folder, file+"-"+version+".json"), append(text, '\n'), 0o644)) //nolint:gosec // like the rest of the repository
	}
}

// schemaOf returns a reference to a type's definition, or the schema of a simple one. A key may always be null.
func schemaOf(of reflect.Type, definitions map[string]schema) schema {
	if known, ok := special[of]; ok {
		return known
	}
	switch of.Kind() {
	case reflect.Pointer:
		return schemaOf(of.Elem(), definitions)
	case reflect.String:
		return schema{"type": []string{"string", "null"}}
	case reflect.Bool:
		return schema{"type": []string{"boolean", "null"}}
	case reflect.Int32, reflect.Int64, reflect.Int:
		return schema{"type": []string{"integer", "null"}}
	case reflect.Slice:
		return schema{"type": []string{"array", "null"}, "items": schemaOf(of.Elem(), definitions)}
	case reflect.Map:
		return schema{"type": []string{"object", "null"}, "additionalProperties": schemaOf(of.Elem(), definitions)}
	case reflect.Struct:
		name := strings.ReplaceAll(of.String(), ".", "_")
		if _, known := definitions[name]; !known {
			properties := make(schema)
			definitions[name] = schema{"type": []string{"object", "null"}, "additionalProperties": false, "properties": properties}
			addFields(properties, of, definitions)
		}
		return schema{"$ref": "#/$defs/" + name}
	default:
		return schema{}
	}
}

// addFields adds the fields of a struct, and those of structs embedded in it.
func addFields(properties schema, of reflect.Type, definitions map[string]schema) {
	for i := range of.NumField() {
		field := of.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name == "" && field.Anonymous:
			addFields(properties, field.Type, definitions)
		case name != "":
			properties[name] = schemaOf(field.Type, definitions)
		}
	}
}
