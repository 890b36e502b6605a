// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func TestEncode(t *testing.T) {
	t.Parallel()
	nobody := commandOf(0, 9, 0)
	nobody.Command.Login, nobody.Command.Session = kill.User{}, kill.ID{}
	elsewhere := loginOf(18)
	elsewhere.Node = "db1"
	facts := []*Fact{loginOf(17), elsewhere, commandOf(1000, 9, 1), nobody}
	again, err := Decode(Encode(facts))
	require.NoError(t, err)
	assert.Equal(t, facts, again)

	again, err = Decode(Encode(nil))
	require.NoError(t, err)
	assert.Empty(t, again)
}

// TestEncodeLeavesOut what would be refused later, and what nobody needs.
func TestEncodeLeavesOut(t *testing.T) {
	t.Parallel()
	change := func(f *Fact, change func(f *Fact)) *Fact {
		change(f)
		return f
	}
	for name, f := range map[string]*Fact{
		"a job":                     {Job: &Job{}},
		"nothing":                   {},
		"a login without a number":  change(loginOf(17), func(f *Fact) { f.Login.Audit = kill.ID{} }),
		"a name that is long":       change(loginOf(17), func(f *Fact) { f.Login.Session.UserName = strings.Repeat("x", longestName+1) }),
		"a command that is long":    change(commandOf(1, 1, 1), func(f *Fact) { f.Command.Title = strings.Repeat("x", maxFact) }),
		"a time that is late":       change(commandOf(1, 1, 1), func(f *Fact) { f.Command.Time = time.Unix(1<<40, 0) }),
		"a host whose name is long": change(commandOf(1, 1, 1), func(f *Fact) { f.Node = strings.Repeat("x", longestName+1) }),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			again, err := Decode(Encode([]*Fact{loginOf(1), f, loginOf(2)}))
			require.NoError(t, err)
			assert.Equal(t, []string{"login 1", "login 2"}, names(again))
		})
	}
}

// TestEncodeIsBounded keeps the latest of more than there is room for.
func TestEncodeIsBounded(t *testing.T) {
	t.Parallel()
	var facts []*Fact
	for n := range 2000 {
		facts = append(facts, loginOf(n))
	}
	data := Encode(facts)
	assert.LessOrEqual(t, len(data), MaxEncoded)
	assert.Greater(t, len(data), MaxEncoded-1000)
	again, err := Decode(data)
	require.NoError(t, err)
	assert.Equal(t, facts[len(facts)-len(again):], again)
}

func TestDecode(t *testing.T) {
	t.Parallel()
	login, err := json.Marshal(encodedFact{Login: loginOf(17).Login})
	require.NoError(t, err)
	for name, tt := range map[string]struct {
		data string
		want []string
		err  string
	}{
		"empty":           {"", nil, "unexpected end"},
		"no JSON":         {"\x00\x01", nil, "invalid character"},
		"too long":        {strings.Repeat(" ", MaxEncoded+1), nil, "65537 bytes"},
		"another version": {`{"version":2,"facts":[]}`, nil, "version 2, not 1"},
		"no version":      {`{}`, nil, "version 0, not 1"},
		"no list":         {`{"version":1,"facts":7}`, nil, "cannot unmarshal"},
		"no facts":        {`{"version":1}`, []string{}, ""},
		"one":             {`{"version":1,"facts":[` + string(login) + `]}`, []string{"login 17"}, ""},
		"rubbish around it": {
			`{"version":1,"facts":[7,null,{},{"login":null},{"login":{}},{"login":7},{"command":{"PID":-1,"Title":"x"}},` + string(login) + `,[]]}`,
			[]string{"login 17"},
			"",
		},
		"two in one": {
			`{"version":1,"facts":[{"command":{"PID":1,"Title":"x"},` + string(login[1:]) + `]}`, []string{}, "",
		},
		"another name than its number": {
			`{"version":1,"facts":[` + strings.Replace(string(login), `"ID":"17"`, `"ID":"c17"`, 1) + `]}`, []string{}, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			facts, err := Decode([]byte(tt.data))
			if tt.err != "" {
				require.ErrorIs(t, err, errForeign)
				require.ErrorContains(t, err, tt.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.want, names(facts))
		})
	}
}

// FuzzDecode expects that what is decoded remains the same if it is stored again.
func FuzzDecode(f *testing.F) {
	f.Add(Encode([]*Fact{loginOf(17), commandOf(1000, 9, 1)}))
	f.Add([]byte(`{"version":1,"facts":[{"login":{"Leader":1}},{"command":{"Title":"\u0000\ud800","PID":9007199254740993}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		facts, err := Decode(data)
		if err != nil {
			require.ErrorIs(t, err, errForeign)
			return
		}
		again, err := Decode(Encode(facts))
		require.NoError(t, err)
		require.LessOrEqual(t, len(again), len(facts))
		if len(again) == len(facts) {
			require.Equal(t, names(facts), names(again))
		}
		var m Memory
		for _, f := range facts {
			m.Add(f)
		}
		require.LessOrEqual(t, len(m.Facts()), maxLogins+maxCommands)
	})
}
