// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func TestParseSession(t *testing.T) {
	t.Parallel()
	root := kill.User{ID: kill.ID{Known: true}, Name: "root"}
	for name, test := range map[string]struct {
		file string
		want attribution.Login
		ok   bool
	}{
		"of root": {"UID=0\nUSER=root\nTTY=tty1", attribution.Login{User: root, Session: kill.Session{UserName: "root", TTY: "tty1"}}, true},
		"unset numbers": {
			"UID=0\nUSER=root\nAUDIT=0\nLEADER=0\n", attribution.Login{User: root, Session: kill.Session{UserName: "root"}}, true,
		},
		"wrong numbers": {
			"UID=0\nLEADER=99999999\nAUDIT=4294967295\nREALTIME=18446744073709551615\nAUDIT=-1\n",
			attribution.Login{User: kill.User{ID: kill.ID{Known: true}}},
			true,
		},
		"no user":        {"USER=root\nTTY=tty1\n", attribution.Login{}, false},
		"an unset user":  {"UID=4294967295\n", attribution.Login{}, false},
		"a large user":   {"UID=4294967296\n", attribution.Login{}, false},
		"nothing":        {"", attribution.Login{}, false},
		"rubbish":        {"\x00\xff=\n===\nUID\n", attribution.Login{}, false},
		"texts too long": {"UID=0\nTTY=" + strings.Repeat("x", 256), attribution.Login{User: kill.User{ID: kill.ID{Known: true}}}, true},
		"no text":        {"UID=0\nTTY=\xff\n", attribution.Login{User: kill.User{ID: kill.ID{Known: true}}}, true},
	} {
		r, ok := parseSession([]byte(test.file))
		assert.Equal(t, test.ok, ok, name)
		if ok {
			assert.Equal(t, test.want, r.Login, name)
		}
	}
	r, _ := parseSession([]byte("UID=0\nCLASS=manager-early\n"))
	assert.True(t, r.class.internal())
}

func TestValidSession(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"1": true, "c21": true, "": false, ".": false, "..": false, "a/b": false, "1.ref": false, "1\x00": false, strings.Repeat("1", 65): false,
	} {
		assert.Equal(t, want, validSession(id), id)
	}
}

func FuzzParseSession(f *testing.F) {
	f.Add([]byte("# This is private data. Do not parse.\nUID=1000\nUSER=alice\nREMOTE_HOST=10.0.0.5\nLEADER=4711\nAUDIT=21\nREALTIME=1700000000000000\n"))
	f.Add([]byte("UID=0\nUID=4294967295\nTTY=\xff\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, ok := parseSession(data)
		for _, text := range []string{r.User.Name, r.Session.Service, r.Session.TTY, r.Session.Address} {
			if len(text) > maxSessionText || strings.Contains(text, "\n") {
				t.Fatalf("%q was taken", text)
			}
		}
		if ok != r.User.ID.Known || r.Leader < 0 || r.Leader > maxPID {
			t.Fatalf("%+v was taken", r)
		}
	})
}
