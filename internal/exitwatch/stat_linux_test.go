// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package exitwatch

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	const zombie = "16558 (a) Z 16512 16505 6690 0 -1 4227084 63 0 2 0 0 0 0 0 20 0 1 0 3460724 0 0 " +
		"18446744073709551615 0 0 0 0 0 0 0 0 0 1 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 768\n"
	born := 3460724 * tick
	for name, test := range map[string]struct {
		data string
		want stat
		ok   bool
	}{
		"dead":             {zombie, stat{command: "a", start: born, dead: true, status: 3 << 8}, true},
		"lives":            {strings.Replace(zombie, "Z", "S", 1), stat{command: "a", start: born, status: 3 << 8}, true},
		"other threads":    {strings.Replace(zombie, "20 0 1 0", "20 0 2 0", 1), stat{command: "a", start: born, status: 3 << 8}, true},
		"reaped":           {strings.Replace(zombie, "Z", "X", 1), stat{command: "a", start: born, dead: true, status: 3 << 8}, true},
		"odd name":         {strings.Replace(zombie, "(a)", "(a) R 1 (b)", 1), stat{command: "a) R 1 (b", start: born, dead: true, status: 3 << 8}, true},
		"cut short":        {zombie[:len(zombie)-5], stat{}, false},
		"no status":        {strings.Replace(zombie, "768", "x", 1), stat{}, false},
		"no start":         {strings.Replace(zombie, "3460724", "x", 1), stat{}, false},
		"start beyond all": {strings.Replace(zombie, "3460724", "9223372036854775807", 1), stat{}, false},
		"before the boot":  {strings.Replace(zombie, "3460724", "-1", 1), stat{}, false},
		"no name":          {"1 Z 2", stat{}, false},
		"nothing":          {"", stat{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := parseStat([]byte(test.data))
			assert.Equal(t, test.ok, ok)
			if ok {
				assert.Equal(t, test.want, got)
			}
		})
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("1 (a) Z 1 1 1 0 -1 1 1 0 1 0 0 0 0 0 20 0 1 0 1 0 0 1 0 0 0 0 0 0 0 0 0 1 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 768"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, ok := parseStat(data)
		if !ok {
			return
		}
		assert.GreaterOrEqual(t, s.start, time.Duration(0))
		assert.Zero(t, s.start%tick)
		assert.Contains(t, string(data), "("+s.command+")")
	})
}
