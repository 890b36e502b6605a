// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"
)

// Unmarshal implements confmap.Unmarshaler. It accepts signals as numbers, and
// names the keys that exist where one does not.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	if err := checkKeys(conf); err != nil {
		return err
	}
	if err := signalsToNames(conf); err != nil {
		return err
	}
	return conf.Unmarshal(c)
}

// checkKeys refuses keys that do not exist. The collector does so as well, but
// says neither where the key stands nor what would be right.
func checkKeys(conf *confmap.Conf) error {
	var errs []error
	for path, section := range map[string]reflect.Type{
		"":                 reflect.TypeFor[Config](),
		"file":             reflect.TypeFor[FileConfig](),
		"correlation":      reflect.TypeFor[CorrelationConfig](),
		"retry_on_failure": reflect.TypeFor[configretry.BackOffConfig](),
	} {
		present := conf.ToStringMap()
		if path != "" {
			present, _ = present[path].(map[string]any)
		}
		errs = append(errs, unknownKeys(present, path, section))
	}
	return errors.Join(errs...)
}

func unknownKeys(present map[string]any, path string, section reflect.Type) error {
	var known []string
	for i := range section.NumField() {
		if key := section.Field(i).Tag.Get("mapstructure"); key != "" {
			known = append(known, key)
		}
	}
	slices.Sort(known)
	if path != "" {
		path += confmap.KeyDelimiter
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(present)) {
		if !slices.Contains(known, key) {
			errs = append(errs, fmt.Errorf("%s%s: unknown key, use one of %s", path, key, strings.Join(known, ", ")))
		}
	}
	return errors.Join(errs...)
}

// signalsToNames turns signals that YAML has read as numbers into text.
func signalsToNames(conf *confmap.Conf) error {
	list, ok := conf.Get("signals").([]any)
	if !ok {
		return nil
	}
	names := make([]any, len(list))
	for i, element := range list {
		names[i] = element
		if number, ok := element.(int); ok {
			names[i] = strconv.Itoa(number)
		}
	}
	return conf.Merge(confmap.NewFromStringMap(map[string]any{"signals": names}))
}
