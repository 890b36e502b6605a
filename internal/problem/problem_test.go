// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package problem

import (
	"errors"
	"fmt"
	"testing"

	"github.com/moby/sys/capability"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// flags is a vocabulary that knows one advice.
type flags struct{}

func (flags) Advise(advice Advice) string {
	if advice == UseFile {
		return "use --file"
	}
	return ""
}

func (flags) Lack(lacking []capability.Cap) string { return "it lacks " + Names(lacking) }

func TestSay(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	for name, test := range map[string]struct {
		problem      *Problem
		plain, flags string
	}{
		"what alone":   {&Problem{What: "audit is off"}, "audit is off", "audit is off"},
		"with a cause": {&Problem{What: "no rules", Err: refused}, "no rules: refused", "no rules: refused"},
		"a fix and advice": {
			&Problem{Err: refused, Fix: "reboot", Advice: []Advice{UseNetlink, UseFile}},
			"refused; reboot", "refused; reboot, or use --file",
		},
		"the same advice twice": {
			&Problem{What: "no", Advice: []Advice{UseFile, UseFile}}, "no", "no; use --file",
		},
		"capabilities": {
			&Problem{Err: refused, Lacking: []capability.Cap{capability.CAP_BPF, capability.CAP_PERFMON}},
			"refused: the process lacks CAP_BPF and CAP_PERFMON", "refused: it lacks CAP_BPF and CAP_PERFMON",
		},
		"a problem behind another": {
			&Problem{What: "no outcomes", Err: fmt.Errorf("opening: %w", &Problem{What: "no right", Advice: []Advice{UseFile}})},
			"no outcomes: opening: no right", "no outcomes: opening: no right; use --file",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.EqualError(t, test.problem, test.plain)
			assert.Equal(t, test.flags, test.problem.Say(flags{}))
		})
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	inner := &Problem{What: "no right", Advice: []Advice{UseFile}}
	for want, err := range map[string]error{
		"no right; use --file":                errors.Join(inner),
		"first\nno right; use --file":         errors.Join(errors.New("first"), inner),
		"ebpf: loading: no right; use --file": fmt.Errorf("ebpf: %w", fmt.Errorf("loading: %w", inner)),
		"two: a, no right; use --file":        fmt.Errorf("two: %w, %w", errors.New("a"), inner),
		"nothing to word":                     errors.New("nothing to word"),
	} {
		assert.Equal(t, want, Text(err, flags{}))
	}
}

func TestAllAdvice(t *testing.T) {
	t.Parallel()
	assert.Len(t, AllAdvice(), int(advices))
	assert.Equal(t, UseFile, AllAdvice()[0])
}
