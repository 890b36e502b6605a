// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package settings

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
)

// section is one of a configuration.
type section struct {
	Wait    time.Duration `mapstructure:"wait"`
	Names   []string      `mapstructure:"names"`
	On      bool          `mapstructure:"on"`
	Most    int           `mapstructure:"most"`
	Path    string        `mapstructure:"path"`
	Storage *component.ID `mapstructure:"storage"`
}

func TestCheck(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		present map[string]any
		want    string
	}{
		"right":              {map[string]any{"wait": "2s", "names": []any{"a"}, "on": true, "most": 7}, ""},
		"unknown key":        {map[string]any{"wiat": "2s"}, "s::wiat: unknown key, use one of most, names, on, path, storage, wait"},
		"no unit":            {map[string]any{"wait": 30}, "s::wait: 30 must be a duration with its unit, such as 2s"},
		"no list":            {map[string]any{"names": "a"}, "s::names: a must be a list, such as [a]"},
		"null":               {map[string]any{"on": nil}, "s::on: null must be true or false"},
		"a fraction":         {map[string]any{"most": 1.5}, "s::most: 1.5 must be a whole number"},
		"an empty duration":  {map[string]any{"wait": ""}, `s::wait: "" must be a duration with its unit, such as 2s`},
		"several, in order":  {map[string]any{"on": 1, "most": "x"}, "s::most: x must be a whole number\ns::on: 1 must be true or false"},
		"a number like 1e3":  {map[string]any{"most": 1e3}, ""},
		"values in a folder": {map[string]any{"most": map[string]any{}}, "s::most: map[] must be a whole number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := errors.Join(Check("s::", tt.present, reflect.TypeFor[section]())...)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			assert.EqualError(t, err, tt.want)
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		present map[string]any
		want    string
	}{
		"a number as a text":   {map[string]any{"path": 5}, "path: 5 must be a text, in quotes if it looks like a number"},
		"a number in a list":   {map[string]any{"names": []any{"a", 5}}, "names::1: 5 must be a text, in quotes if it looks like a number"},
		"no name":              {map[string]any{"storage": ""}, `storage: "" must be the name of an extension, such as file_storage`},
		"nothing that is ours": {map[string]any{"other": 5, "path": nil}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := errors.Join(Refused("", tt.present, reflect.TypeFor[section]())...)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			assert.EqualError(t, err, tt.want)
		})
	}
}
