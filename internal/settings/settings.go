// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package settings checks the keys and values of a component's configuration, with errors that say what would be right where
// the collector's only say what is wrong.
package settings

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
)

// Check refuses keys that a section does not have, and values that nobody can mean. The prefix is the path of the section.
func Check(prefix string, present map[string]any, section reflect.Type) []error {
	known := Keys(section)
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(present)) {
		if field, ok := known[key]; !ok {
			errs = append(errs, fmt.Errorf("%s%s: unknown key, use one of %s",
				prefix, key, strings.Join(slices.Sorted(maps.Keys(known)), ", ")))
		} else if right := mismatch(present[key], field); right != "" {
			errs = append(errs, fmt.Errorf("%s%s: %v must be %s", prefix, key, Literal(present[key]), right))
		}
	}
	return errs
}

// Refused says what would be right for values that the collector has refused. Whether it does depends on more than the value: a number
// that comes from the environment may be a text.
func Refused(prefix string, present map[string]any, section reflect.Type) []error {
	known := Keys(section)
	var errs []error
	refuse := func(path string, value any, right string) {
		if right != "" {
			errs = append(errs, fmt.Errorf("%s%s: %v must be %s", prefix, path, Literal(value), right))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(present)) {
		field, value := known[key], present[key]
		list, isList := value.([]any)
		switch {
		case field == nil || value == nil:
		case field.Kind() == reflect.Slice && isList:
			for i, element := range list {
				refuse(fmt.Sprint(key, confmap.KeyDelimiter, i), element, unreadable(element, field.Elem()))
			}
		default:
			refuse(key, value, unreadable(value, field))
		}
	}
	return errs
}

// Keys returns the keys of a section with their types.
func Keys(section reflect.Type) map[string]reflect.Type {
	keys := make(map[string]reflect.Type)
	for i := range section.NumField() {
		if key := section.Field(i).Tag.Get(confmap.MapstructureTag); key != "" {
			keys[key] = section.Field(i).Type
		}
	}
	return keys
}

// mismatch returns what would be right for a field if a value is wrong, in cases where the
// collector would accept the value (5 as 5ns, 1.5 as 1, null as false) or would not say what
// it expects.
func mismatch(value any, field reflect.Type) string {
	kind := reflect.ValueOf(value).Kind()
	switch {
	case field == reflect.TypeFor[time.Duration]():
		if !isDuration(value) {
			return "a duration with its unit, such as 2s"
		}
	case field == reflect.TypeFor[*bool]():
		if value != nil && kind != reflect.Bool { // `print-config` writes null
			return "true or false"
		}
	case field.Kind() == reflect.Bool && kind != reflect.Bool:
		return "true or false"
	case field.Kind() == reflect.Int && !isWhole(value):
		return "a whole number"
	case field.Kind() == reflect.Slice && kind != reflect.Slice && value != nil:
		return fmt.Sprintf("a list, such as [%v]", value)
	}
	return ""
}

// unreadable returns what would be right for a field if the collector cannot read a value for it.
func unreadable(value any, field reflect.Type) string {
	kind := reflect.ValueOf(value).Kind()
	switch {
	case field == reflect.TypeFor[*component.ID]() && !isID(value):
		return "the name of an extension, such as file_storage"
	case field.Kind() == reflect.String && kind != reflect.String:
		return "a text, in quotes if it looks like a number"
	case field.Kind() == reflect.Float64 && kind != reflect.Float64 && kind != reflect.Int:
		return "a number"
	}
	return ""
}

func isDuration(value any) bool {
	switch value := value.(type) {
	case time.Duration: // as in `print-config`
		return true
	case string:
		_, err := time.ParseDuration(value)
		return err == nil
	}
	return false
}

func isID(value any) bool {
	text, _ := value.(string)
	return new(component.ID).UnmarshalText([]byte(text)) == nil
}

func isWhole(value any) bool {
	switch value := value.(type) {
	case int, int64, uint64:
		return true
	case float64: // YAML reads 1e3 as this
		return value == math.Trunc(value)
	}
	return false
}

// Literal returns a value as YAML writes it: null for nil, and "" for an empty text.
func Literal(value any) any {
	switch value {
	case nil:
		return "null"
	case "":
		return `""`
	}
	return value
}
