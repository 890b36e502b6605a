// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"debug/buildinfo"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMayManage(t *testing.T) {
	t.Parallel()
	p := procfs(proc(t, ""))
	for name, test := range map[string]struct {
		pid  int
		want bool
	}{
		"one of the same name":             {theirs, true},
		"our program under another name":   {companion, true},
		"one that we may not look into":    {secret, true},
		"another program":                  {theirs + 2, false},
		"a thread of the kernel":           {1, false}, // like that it has no exe
		"one that waits for its parent":    {theirs + 1, false},
		"one that does not run":            {nobody, false},
		"a rule of ours without a process": {0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.want, p.mayManage(test.pid, self))
		})
	}
}

// With hidepid only the processes of the same user can be seen.
func TestMayManageIfProcessesAreHidden(t *testing.T) {
	t.Parallel()
	directory := proc(t, "")
	require.NoError(t, os.RemoveAll(filepath.Join(directory, "1")))
	p := procfs(directory)
	assert.True(t, p.mayManage(nobody, self), "it may be hidden")
	assert.False(t, p.mayManage(theirs+2, self), "this one can be seen")
}

func TestMayContainUs(t *testing.T) {
	t.Parallel()
	yaml := &debug.Module{Path: "go.yaml.in/yaml/v3"}
	for name, test := range map[string]struct {
		info buildinfo.BuildInfo
		want bool
	}{
		"the companion": {buildinfo.BuildInfo{Main: debug.Module{Path: module}, Deps: []*debug.Module{yaml}}, true},
		"a collector of any name": {buildinfo.BuildInfo{
			Main: debug.Module{Path: "example.com/otelcol"}, Deps: []*debug.Module{yaml, {Path: module}},
		}, true},
		"with a fork of it": {buildinfo.BuildInfo{
			Main: debug.Module{Path: "example.com/otelcol"},
			Deps: []*debug.Module{{Path: module, Replace: &debug.Module{Path: "example.com/fork"}}},
		}, true},
		"another":                      {buildinfo.BuildInfo{Main: debug.Module{Path: "example.com/otelcol"}, Deps: []*debug.Module{yaml}}, false},
		"another without dependencies": {buildinfo.BuildInfo{Main: debug.Module{Path: "example.com/otelcol"}}, false},
		"built without modules":        {buildinfo.BuildInfo{Path: "example.com/otelcol"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.want, mayContainUs(&test.info))
		})
	}
}
