// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const repository = "../.."

// Every scene is found, and each package with tests for Linux.
func TestAllJobs(t *testing.T) {
	t.Parallel()
	all, err := allJobs(repository)
	require.NoError(t, err)
	var packages, found, wanted []string
	for _, j := range all {
		assert.NotEmpty(t, j.tests, j.folder)
		assert.Positive(t, j.boots, j.folder)
		if j.module == "." {
			packages = append(packages, j.folder)
		} else {
			found = append(found, j.tests...)
		}
	}
	for _, scene := range scenes {
		wanted = append(wanted, scene.tests...)
	}
	assert.ElementsMatch(t, wanted, found)
	assert.Contains(t, packages, "internal/auditrules")
	assert.Len(t, slices.Compact(packages), len(packages), "each once")
}

func TestChosen(t *testing.T) {
	t.Parallel()
	jobs, err := chosen(repository, []string{"./internal/auditrules/"}, "^TestCheck")
	require.NoError(t, err)
	require.Len(t, jobs, 1)
	for _, test := range jobs[0].tests {
		assert.True(t, strings.HasPrefix(test, "TestCheck"), test)
	}
	_, err = chosen(repository, []string{"internal/kill"}, "")
	require.ErrorContains(t, err, "internal/kill")
	_, err = chosen(repository, nil, "NoSuchTest")
	require.ErrorContains(t, err, "NoSuchTest")
	_, err = chosen(repository, nil, "(")
	require.Error(t, err)
}
