// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditkillreceiver

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/config/configretry"
	"go.opentelemetry.io/collector/confmap"

	"github.com/auditkill/auditkillreceiver/internal/metadata"
	"github.com/auditkill/auditkillreceiver/internal/settings"
)

// Unmarshal implements confmap.Unmarshaler. It accepts signals as numbers, and its errors say
// what would be right where the collector's only say what is wrong.
func (c *Config) Unmarshal(conf *confmap.Conf) error {
	if signals, _ := conf.Get("signals").(string); meansAll(signals) {
		return fmt.Errorf("signals: %q %s", signals, noSignal)
	}
	if err := errors.Join(checkSections(conf.ToStringMap(), settings.Check)...); err != nil {
		return err
	}
	if err := numbersToTexts(conf); err != nil {
		return err
	}
	dropEmptySources(conf)
	err := conf.Unmarshal(c)
	if err != nil {
		if said := errors.Join(checkSections(conf.ToStringMap(), settings.Refused)...); said != nil {
			return said
		}
	}
	return err
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

// checkKeys returns what is wrong with the keys of a section.
type checkKeys func(prefix string, present map[string]any, section reflect.Type) []error

// checkSections checks all sections, and refuses what is none.
func checkSections(present map[string]any, check checkKeys) []error {
	errs := check("", present, reflect.TypeFor[Config]())
	all := sections()
	for _, path := range slices.Sorted(maps.Keys(all)) {
		errs = append(errs, checkSectionAt(path, present[path], all[path], check)...)
	}
	attributes, _ := present[resourceAttributes].(map[string]any)
	for key, section := range settings.Keys(all[resourceAttributes]) {
		errs = append(errs, checkSectionAt(resourceAttributes+confmap.KeyDelimiter+key, attributes[key], section, check)...)
	}
	return errs
}

// checkSectionAt refuses what is no section, and what check refuses in it.
func checkSectionAt(path string, present any, section reflect.Type, check checkKeys) []error {
	switch keys := present.(type) {
	case nil: // not set, or with nothing after the colon
		return nil
	case map[string]any:
		return check(path+confmap.KeyDelimiter, keys, section)
	}
	return []error{fmt.Errorf("%s: %v must be a section with some of the keys %s",
		path, present, strings.Join(slices.Sorted(maps.Keys(settings.Keys(section))), ", "))}
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
				errs = append(errs, fmt.Errorf("%s::%d: %v must be %s", key, i, settings.Literal(element), examples[key]))
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
