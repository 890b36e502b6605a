// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package netlinksource

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// stream sends messages such as "m1", to all listeners, and "u1", to the audit daemon, and returns
// those that count.
func stream(h *handover, messages string) string {
	var taken []string
	for text := range strings.FieldsSeq(messages) {
		m := &message{kind: 1300, multicast: text[0] == 'm', data: []byte(text[1:])}
		h.take(m, func(m *message) { taken = append(taken, string(m.data)) })
	}
	return strings.Join(taken, " ")
}

func TestHandover(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		from     state
		messages string
		taken    string
		to       state
	}{
		"listening":          {listening, "m1 m2 m3", "1 2 3", listening},
		"serving":            {serving, "u1 u2 u3", "1 2 3", serving},
		"serving, joined":    {serving, "m1 u1 m2 u2", "1 2", serving},
		"listening, not let": {listening, "m1 u1 m2 u2", "1 2", listening},

		"to serving":                              {toServing, "m1 m2 u2 m3 u3 u4", "1 2 3 4", serving},
		"to serving, nothing yet":                 {toServing, "m1 m2", "1 2", toServing},
		"to serving, kept from before":            {toServing, "u1 u2 u3 m4 u4 u5", "4 5", serving},
		"to serving, kept from before, one known": {toServing, "m3 u1 u2 u3 m4 u4", "3 4", serving},

		"to listening": {toListening, "u1 u2 m3 u3 m4 u4 m5", "1 2 3 4 5", listening},
		"to listening, in the middle of a record": {toListening, "u1 m2 u2 m3", "1 2 3", listening},
		"to listening, let go at once":            {toListening, "u1 m2 m3 m4", "1 2 3 4", listening},
		"to listening, sent again first":          {toListening, "u1 m3 u2 u3 m4", "1 2 3 4", listening},
		"to listening, the last is held":          {toListening, "u1 m2", "1", toListening},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := &handover{state: tt.from}
			assert.Equal(t, tt.taken, stream(h, tt.messages))
			assert.Equal(t, tt.to, h.state)
		})
	}
}

func TestHandoverReleasesWhatIsHeld(t *testing.T) {
	t.Parallel()
	h := &handover{state: toListening}
	assert.Equal(t, "1", stream(h, "u1 m2"))
	var taken []string
	h.release(func(m *message) { taken = append(taken, string(m.data)) })
	assert.Equal(t, []string{"2"}, taken)
	assert.Equal(t, listening, h.state)
	h.release(func(*message) { t.Error("released twice") })
	assert.Equal(t, "3", stream(h, "m3"))
}

// Two records of an event may have the same text, as the last one always does.
func TestHandoverTellsKindsApart(t *testing.T) {
	t.Parallel()
	h := &handover{state: toServing}
	h.take(&message{kind: 1300, multicast: true, data: []byte("1")}, func(*message) {})
	h.take(&message{kind: 1320, data: []byte("1")}, func(*message) { t.Error("known already") })
	assert.Equal(t, toServing, h.state)
}
