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
)

// Unmarshal implements confmap.Unmarshaler. It accepts signals as numbers, and
// says what would be right where the collector only says what is wrong.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	if err := errors.Join(checkKeys(conf.ToStringMap())...); err != nil {
		return err
	}
	if err := signalsToNames(conf); err != nil {
		return err
	}
	return conf.Unmarshal(c)
}

// sections are the parts of the configuration that hold keys of their own.
var sections = []struct {
	path string
	keys reflect.Type
}{
	{"correlation", reflect.TypeFor[CorrelationConfig]()},
	{"file", reflect.TypeFor[FileConfig]()},
	{"retry_on_failure", reflect.TypeFor[configretry.BackOffConfig]()},
}

// checkKeys refuses keys that do not exist, and values that cannot be meant.
func checkKeys(present map[string]any) []error {
	errs := checkSection("", present, keysOf(reflect.TypeFor[Config]()))
	for _, section := range sections {
		known := keysOf(section.keys)
		switch keys := present[section.path].(type) {
		case nil: // not there, or with nothing behind the colon
		case map[string]any:
			errs = append(errs, checkSection(section.path+confmap.KeyDelimiter, keys, known)...)
		default:
			errs = append(errs, fmt.Errorf("%s: %v must be a section with some of the keys %s",
				section.path, keys, strings.Join(slices.Sorted(maps.Keys(known)), ", ")))
		}
	}
	return errs
}

func checkSection(prefix string, present map[string]any, known map[string]reflect.Type) []error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(present)) {
		if field, ok := known[key]; !ok {
			errs = append(errs, fmt.Errorf("%s%s: unknown key, use one of %s",
				prefix, key, strings.Join(slices.Sorted(maps.Keys(known)), ", ")))
		} else if right := mismatch(present[key], field); right != "" {
			errs = append(errs, fmt.Errorf("%s%s: %v must be %s", prefix, key, present[key], right))
		}
	}
	return errs
}

// keysOf returns the keys of a section and what each of them holds.
func keysOf(section reflect.Type) map[string]reflect.Type {
	keys := make(map[string]reflect.Type)
	for i := range section.NumField() {
		if key := section.Field(i).Tag.Get(confmap.MapstructureTag); key != "" {
			keys[key] = section.Field(i).Type
		}
	}
	return keys
}

// mismatch returns what would be right for a field if a value is not, and the
// collector would take it nevertheless (5 as 5ns, 1.5 as 1) or not say what it
// expects.
func mismatch(value any, field reflect.Type) string {
	if value == nil {
		return "" // stands for the default
	}
	switch kind := reflect.TypeOf(value).Kind(); {
	case field == reflect.TypeFor[time.Duration]():
		text, isText := value.(string)
		if _, err := time.ParseDuration(text); isText && err == nil || reflect.TypeOf(value) == field {
			return ""
		}
		return "a duration with its unit, such as 2s"
	case field.Kind() == reflect.Bool && kind != reflect.Bool:
		return "true or false"
	case field.Kind() == reflect.Slice && kind != reflect.Slice:
		return "a list, such as [" + fmt.Sprint(value) + "]"
	case field.Kind() == reflect.Int && kind == reflect.Float64:
		if number := value.(float64); number != math.Trunc(number) {
			return "a whole number"
		}
	case field.Kind() == reflect.Int && !reflect.TypeOf(value).ConvertibleTo(field):
		return "a whole number"
	}
	return ""
}

// signalsToNames turns signals that YAML has read as numbers into text.
func signalsToNames(conf *confmap.Conf) error {
	list, ok := conf.Get("signals").([]any)
	if !ok {
		return nil
	}
	var errs []error
	names := make([]any, len(list))
	for i, element := range list {
		switch element.(type) {
		case string, int, int64, uint64:
			names[i] = fmt.Sprint(element)
		default:
			errs = append(errs, fmt.Errorf("signals::%d: %v must be a name or a whole number, such as SIGTERM or 15",
				i, element))
		}
	}
	// Not merged over the old list: a feature gate of the collector appends.
	conf.Delete("signals")
	return errors.Join(append(errs, conf.Merge(confmap.NewFromStringMap(map[string]any{"signals": names})))...)
}
