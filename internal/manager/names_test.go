// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestUnitOfPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		unitsPath + "mysql_2eservice":                         "mysql.service",
		unitsPath + "user_401000_2eservice":                   "user@1000.service",
		unitsPath + "dev_2ddisk_2dby_5cx2dlabel_2eswap":       `dev-disk-by\x2dlabel.swap`,
		unitsPath + "a_5fb_2eservice":                         "a_b.service",
		unitsPath + "_2d_2emount":                             "-.mount",
		unitsPath + "a_zz_2eservice":                          "a_zz.service", // systemd takes such an escape literally
		unitsPath + "a_2":                                     "",
		unitsPath + "_":                                       "",
		unitsPath + "a_00_2eservice":                          "",
		unitsPath + "a_0a_2eservice":                          "",
		unitsPath + "_2eservice":                              "",
		unitsPath + "mysql":                                   "",
		unitsPath:                                             "",
		"/org/freedesktop/systemd1/job/7":                     "",
		unitsPath + strings.Repeat("a", 300) + "_2eservice":   "",
		unitsPath + strings.Repeat("a", 247) + "_2eservice":   strings.Repeat("a", 247) + ".service",
		unitsPath + strings.Repeat("_61", 248) + "_2eservice": "",
	} {
		assert.Equal(t, want, unitOfPath(path), path)
	}
}

func TestJobOfPath(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]uint32{
		jobsPath + "7": 7, jobsPath + "4294967295": 1<<32 - 1, jobsPath + "4294967296": 0, jobsPath: 0, jobsPath + "-1": 0, "/7": 0,
	} {
		assert.Equal(t, want, jobOfPath(path), path)
	}
}

func TestWord(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "stop-sigterm", word("stop-sigterm"))
	assert.Equal(t, "start-limit-hit", word("start-limit-hit"))
	assert.Empty(t, word("two words"))
	assert.Empty(t, word(strings.Repeat("a", 65)))
}

func TestHasProcesses(t *testing.T) {
	t.Parallel()
	for unit, want := range map[string]bool{"a.service": true, "session-1.scope": true, "a.device": false, "a": false, "": false} {
		assert.Equal(t, want, hasProcesses(unit), unit)
	}
}

func FuzzUnitOfPath(f *testing.F) {
	f.Add("mysql_2eservice")
	f.Add("_")
	f.Add("a_2")
	f.Fuzz(func(t *testing.T, label string) {
		name := unitOfPath(unitsPath + label)
		if name != unitName(name) || strings.ContainsAny(name, "/\x00\n ") {
			t.Fatalf("%q is no name of a unit", name)
		}
		if name != "" && unescape(escape(name)) != name {
			t.Fatalf("%q is not what was escaped", name)
		}
	})
}

// escape escapes a name as systemd does (sd_bus_path_encode(3)).
func escape(name string) string {
	const hex = "0123456789abcdef"
	var label strings.Builder
	for i := range len(name) {
		b := name[i]
		if alphanumeric(b) && (i > 0 || b < '0' || b > '9') {
			label.WriteByte(b)
			continue
		}
		label.WriteString("_" + hex[b>>4:b>>4+1] + hex[b&15:b&15+1])
	}
	return label.String()
}
