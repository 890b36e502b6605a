// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package goreleaser checks .goreleaser.yaml, which otherwise only a tag tries.
package goreleaser

import (
	"os"
	"strings"
	"testing"

	"github.com/goreleaser/goreleaser/v2/pkg/config"
)

const path = "../../.goreleaser.yaml"

// GoReleaser accepts the file: it knows each key, and what that has is of its kind.
func TestConfiguration(t *testing.T) {
	project, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if project.ProjectName != "auditkill" || len(project.Builds) != 2 {
		t.Errorf("the project is %q, with %d builds", project.ProjectName, len(project.Builds))
	}
}

// The release is made by the version that this test has.
func TestVersion(t *testing.T) {
	workflow, err := os.ReadFile("../../.github/workflows/release.yml")
	if err != nil {
		t.Fatal(err)
	}
	module, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, version, _ := strings.Cut(string(module), "github.com/goreleaser/goreleaser/v2 ")
	version, _, _ = strings.Cut(version, "\n")
	uses := strings.Count(string(workflow), "uses: goreleaser/goreleaser-action@")
	if has := strings.Count(string(workflow), "version: "+version+"\n"); uses == 0 || has != uses {
		t.Errorf("%d of %d steps of release.yml have the version %s", has, uses, version)
	}
}

// A misspelt key would be found.
func TestMisspeltKeys(t *testing.T) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"builds:", "archives:", "sboms:", "    ldflags:"} {
		if !strings.Contains(string(text), "\n"+key) {
			t.Errorf("the file has no %s", key)
		}
		misspelt := strings.Replace(string(text), "\n"+key, "\n"+strings.Replace(key, "s:", "z:", 1), 1)
		if _, err := config.LoadReader(strings.NewReader(misspelt)); err == nil {
			t.Errorf("a misspelt %s is accepted", key)
		}
	}
}
