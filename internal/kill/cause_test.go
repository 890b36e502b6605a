// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A cause that is declared is one of Causes.
func TestCauses(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("event.go")
	require.NoError(t, err)
	var declared []Cause
	for _, found := range regexp.MustCompile(`(?m)^\tCause\w+ +Cause = "(\w+)"`).FindAllSubmatch(source, -1) {
		declared = append(declared, Cause(found[1]))
	}
	require.NotEmpty(t, declared)
	assert.ElementsMatch(t, declared, Causes())
	assert.False(t, CauseNone.Managed())
}

func TestPerson(t *testing.T) {
	t.Parallel()
	sender := Process{Login: User{ID: NewID(7), Name: "operator"}}
	alice := User{ID: NewID(1000), Name: "alice"}
	for want, b := range map[User]*Behind{
		sender.Login: nil, {}: {Managed: true}, alice: {User: alice},
	} {
		assert.Equal(t, want, b.Person(&sender))
	}
	assert.Equal(t, sender.Login, (&Behind{Session: &Session{ID: "1"}}).Person(&sender))
	assert.Equal(t, alice, (&Behind{Managed: true, User: alice}).Person(&sender))
}
