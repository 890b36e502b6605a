// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"

	"github.com/auditkill/auditkillreceiver/internal/metadata"
)

// Unmarshal implements confmap.Unmarshaler. It accepts signals as numbers, and its errors say
// what would be right where the collector's only say what is wrong.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	if err := errors.Join(checkKeys(conf.ToStringMap())...); err != nil {
		return err
	}
	if err := numbersToTexts(conf); err != nil {
		return err
	}
	dropEmptySources(conf)
	return conf.Unmarshal(c)
}

// dropEmptySources removes sources with nothing after the colon if there are several sources:
// `print-config` writes sources like that if they are not configured. A single one is the
// user's choice.
func dropEmptySources(conf *confmap.Conf) {
	sources := slices.DeleteFunc(sourceKinds(), func(kind sourceKind) bool { return !conf.IsSet(kind.key) })
	if len(sources) < 2 {
		return
	}
	for _, kind := range sources {
		if conf.Get(kind.key) == nil {
			conf.Delete(kind.key)
		}
	}
}

// sections returns the parts of the configuration that hold keys of their own.
func sections() map[string]reflect.Type {
	all := map[string]reflect.Type{
		"attribution":      reflect.TypeFor[AttributionConfig](),
		"correlation":      reflect.TypeFor[CorrelationConfig](),
		"outcome":          reflect.TypeFor[OutcomeConfig](),
		"retry_on_failure": reflect.TypeFor[configretry.BackOffConfig](),
		"rules":            reflect.TypeFor[RulesConfig](),
		resourceAttributes: reflect.TypeFor[metadata.ResourceAttributesConfig](),
	}
	for _, kind := range sourceKinds() {
		all[kind.key] = kind.section
	}
	return all
}

// resourceAttributes is the one section whose keys are sections again.
const resourceAttributes = "resource_attributes"

// checkKeys refuses keys that do not exist, and values that nobody can mean.
func checkKeys(present map[string]any) []error {
	errs := checkSection("", present, keysOf(reflect.TypeFor[Config]()))
	all := sections()
	for _, path := range slices.Sorted(maps.Keys(all)) {
		errs = append(errs, checkSectionAt(path, present[path], all[path])...)
	}
	attributes, _ := present[resourceAttributes].(map[string]any)
	for key, section := range keysOf(all[resourceAttributes]) {
		errs = append(errs, checkSectionAt(resourceAttributes+confmap.KeyDelimiter+key, attributes[key], section)...)
	}
	return errs
}

// checkSectionAt refuses what is no section, and what checkSection refuses in it.
func checkSectionAt(path string, present any, section reflect.Type) []error {
	known := keysOf(section)
	switch keys := present.(type) {
	case nil: // not set, or with nothing after the colon
		return nil
	case map[string]any:
		return checkSection(path+confmap.KeyDelimiter, keys, known)
	}
	return []error{fmt.Errorf("%s: %v must be a section with some of the keys %s",
		path, present, strings.Join(slices.Sorted(maps.Keys(known)), ", "))}
}

func checkSection(prefix string, present map[string]any, known map[string]reflect.Type) []error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(present)) {
		if field, ok := known[key]; !ok {
			errs = append(errs, fmt.Errorf("%s%s: unknown key, use one of %s",
				prefix, key, strings.Join(slices.Sorted(maps.Keys(known)), ", ")))
		} else if right := mismatch(present[key], field); right != "" {
			errs = append(errs, fmt.Errorf("%s%s: %v must be %s", prefix, key, orNull(present[key]), right))
		}
	}
	return errs
}

// keysOf returns the keys of a section with their types.
func keysOf(section reflect.Type) map[string]reflect.Type {
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

func isWhole(value any) bool {
	switch value := value.(type) {
	case int, int64, uint64:
		return true
	case float64: // YAML reads 1e3 as this
		return value == math.Trunc(value)
	}
	return false
}

// orNull returns null for nil, as YAML writes it.
func orNull(value any) any {
	if value == nil {
		return "null"
	}
	return value
}

// numbersToTexts makes texts of numbers in lists of texts: signals may be numbers, and why names may not is said once all
// are texts.
func numbersToTexts(conf *confmap.Conf) error {
	examples := map[string]string{
		"signals": "a name or a whole number, such as SIGTERM or 15", "targets": aName, "senders": aName,
		"exclude_targets": aName, "exclude_senders": aName,
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(examples)) {
		list, _ := conf.Get(key).([]any)
		if len(list) == 0 {
			continue
		}
		texts := make([]any, len(list))
		for i, element := range list {
			switch reflect.ValueOf(element).Kind() {
			case reflect.String, reflect.Int, reflect.Int64, reflect.Uint64:
				texts[i] = fmt.Sprint(element)
			default:
				errs = append(errs, fmt.Errorf("%s::%d: %v must be %s", key, i, orNull(element), examples[key]))
			}
		}
		// Delete the old list first: with a feature gate, the collector's merge appends to it.
		conf.Delete(key)
		errs = append(errs, conf.Merge(confmap.NewFromStringMap(map[string]any{key: texts})))
	}
	return errors.Join(errs...)
}

// aName is what a list of names has.
const aName = "the name of a process or the path of its program, such as mysqld"
