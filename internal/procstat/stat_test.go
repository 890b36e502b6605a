// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package procstat

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// statLine is a line as the kernel writes it.
func statLine(pid int, command, state string, parent, flags int, start uint64) string {
	return fmt.Sprintf("%d (%s) %s %d 1 1 0 -1 %d 3 0 0 0 0 216 0 0 20 0 1 0 %d 0 0 18446744073709551615 "+
		"0 0 0 0 0 0 0 2147483647 0 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n", pid, command, state, parent, flags, start)
}

func TestParse(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]string{
		"plain": "mysqld", "empty": "", "spaces": "my program", "parentheses": "a) R 1 (b",
		"end": ") S 1 1 1", "newline": "two\nlines", "UTF-8": "größe", "half a letter": "gr\xc3", "(sd-pam)": "(sd-pam)",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, ok := Parse([]byte(statLine(4711, command, "S", 1, 0x400000, 123456)))
			assert.True(t, ok)
			assert.Equal(t, Stat{PID: 4711, Start: 1234560 * time.Millisecond, Command: command, Parent: 1, Threads: 1}, s)
		})
	}
	s, ok := Parse([]byte(statLine(2, "kthreadd", "S", 0, 2129984, 0)))
	assert.True(t, ok)
	assert.Equal(t, Stat{PID: 2, Command: "kthreadd", Kernel: true, Threads: 1}, s)
	for _, state := range []string{"Z", "X"} {
		s, _ = Parse([]byte(statLine(3, "dead", state, 2, 0, 1)))
		assert.True(t, s.Zombie, state)
	}
	for name, line := range map[string]string{
		"empty":          "",
		"no name":        "1 S 0 0",
		"one bracket":    "1 )( S 1",
		"cut":            statLine(1, "init", "S", 0, 0, 5)[:40],
		"no pid":         statLine(0, "idle", "S", 0, 0, 5),
		"no number":      "x" + statLine(1, "init", "S", 0, 0, 5),
		"wrong flags":    strings.Replace(statLine(1, "init", "S", 0, 4711, 5), "4711", "4711x", 1),
		"wrong start":    strings.Replace(statLine(1, "init", "S", 0, 0, 4711), "4711", "-4711", 1),
		"absurd start":   statLine(1, "init", "S", 0, 0, 1<<63),
		"parent below 0": statLine(1, "init", "S", -1, 0, 5),
	} {
		_, ok := Parse([]byte(line))
		assert.False(t, ok, name)
	}
}

func TestParseExit(t *testing.T) {
	t.Parallel()
	const zombie = "16558 (a) Z 16512 16505 6690 0 -1 4227084 63 0 2 0 0 0 0 0 20 0 1 0 3460724 0 0 " +
		"18446744073709551615 0 0 0 0 0 0 0 0 0 1 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 768\n"
	type want struct {
		command      string
		zombie, dead bool
	}
	for name, test := range map[string]struct {
		data string
		want want
		ok   bool
	}{
		"dead":             {zombie, want{"a", true, true}, true},
		"lives":            {strings.Replace(zombie, "Z", "S", 1), want{"a", false, false}, true},
		"other threads":    {strings.Replace(zombie, "20 0 1 0", "20 0 2 0", 1), want{"a", true, false}, true},
		"reaped":           {strings.Replace(zombie, "Z", "X", 1), want{"a", true, true}, true},
		"odd name":         {strings.Replace(zombie, "(a)", "(a) R 1 (b)", 1), want{"a) R 1 (b", true, true}, true},
		"cut short":        {zombie[:len(zombie)-5], want{}, false},
		"no status":        {strings.Replace(zombie, "768", "x", 1), want{}, false},
		"no start":         {strings.Replace(zombie, "3460724", "x", 1), want{}, false},
		"start beyond all": {strings.Replace(zombie, "3460724", "9223372036854775807", 1), want{}, false},
		"before the boot":  {strings.Replace(zombie, "3460724", "-1", 1), want{}, false},
		"no name":          {"1 Z 2", want{}, false},
		"nothing":          {"", want{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := ParseExit([]byte(test.data))
			assert.Equal(t, test.ok, ok)
			if ok {
				assert.Equal(t, test.want, want{got.Command, got.Zombie, got.Dead()})
				assert.Equal(t, 3460724*Tick, got.Start)
				assert.Equal(t, 3<<8, got.Status)
				assert.True(t, got.Exiting)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(statLine(4711, "a) R (b", "S", 1, 0, 123456)))
	f.Add([]byte("1 (x) S"))
	f.Add([]byte("1 (a) Z 1 1 1 0 -1 1 1 0 1 0 0 0 0 0 20 0 1 0 1 0 0 1 0 0 0 0 0 0 0 0 0 1 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 768"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, ok := Parse(data)
		whole, wholeOK := ParseExit(data)
		if wholeOK {
			assert.True(t, ok)
			whole.Status = 0
			assert.Equal(t, s, whole)
		}
		if ok {
			assert.Positive(t, s.PID)
			assert.GreaterOrEqual(t, s.Parent, 0)
			assert.GreaterOrEqual(t, s.Start, time.Duration(0))
			assert.Zero(t, s.Start%Tick)
			assert.Contains(t, string(data), "("+s.Command+")")
		}
	})
}
