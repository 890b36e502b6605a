// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// What docs/byo.md promises: a collector that somebody builds elsewhere with ocb, whose pipelines have no processor.

const ownModule = "github.com/auditkill/auditkillreceiver"

// buildOwn builds the collector of deploy/ocb as a reader of docs/byo.md does, in a folder outside the repository.
func buildOwn(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(harness.Path())
	require.NoError(t, err)
	folder := t.TempDir()
	manifest := read(t, harness.Path("deploy/ocb/builder-config.yaml"))
	const clone = "=> ../auditkillreceiver"
	require.Equal(t, 1, strings.Count(manifest, clone))
	manifest = strings.Replace(manifest, clone, "=> "+root, 1)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "builder-config.yaml"), []byte(manifest), 0o600))

	builder := filepath.Join(folder, "builder")
	shell(t, "go", "-C", root, "build", "-modfile=tools/go.mod", "-o", builder, "go.opentelemetry.io/collector/cmd/builder")
	command := exec.Command(builder, "--config", "builder-config.yaml") //nolint:gosec // was just built
	command.Dir = folder
	said, err := command.CombinedOutput()
	require.NoError(t, err, "%s", said)
	return filepath.Join(folder, "otelcol-own", "otelcol-own")
}

func TestOwnCollector(t *testing.T) {
	harness.NeedRoot(t)
	own, folder := buildOwn(t), t.TempDir()
	said := shell(t, own, "components")
	for _, want := range []string{"name: audit_kill", "name: kill_incident", "module: " + ownModule + " v0.1.0"} {
		assert.Contains(t, said, want)
	}

	quick := filepath.Join(folder, "quick.yaml")
	require.NoError(t, os.WriteFile(quick, []byte("connectors: {span_metrics: {metrics_flush_interval: 500ms}}\n"), 0o600))
	command := exec.Command(own, "--config", harness.Path("deploy/ocb/config.yaml"), "--config", quick) //nolint:gosec // built by this test
	command.Env = append(os.Environ(), "DIRECTORY="+folder)
	running := harness.StartProcess(t, command, new(harness.Output))
	t.Cleanup(running.Kill)
	harness.Eventually(t, func() bool { return strings.Contains(running.Output.String(), "Everything is ready") }, "a collector that runs")

	victim := exec.Command("sleep", "600")
	require.NoError(t, victim.Start())
	require.NoError(t, victim.Process.Kill())
	_ = victim.Wait() // it was killed
	want := map[string]bool{"kill.signal": true, "kill.outcome": true}
	harness.Eventually(t, func() bool {
		for _, r := range otlp.ReadFile(t, filepath.Join(folder, "records.json")) {
			if r.Number("kill.target.pid") == int64(victim.Process.Pid) && want[r.Event] {
				delete(want, r.Event)
				assert.Equal(t, r.Event, r.Text("event.name"))
				assert.Equal(t, "auditkill", r.Resource["service.name"])
				assert.NotEmpty(t, r.Resource["service.instance.id"])
			}
		}
		return len(want) == 0
	}, "a signal and its outcome in a file")
	assert.Contains(t, read(t, filepath.Join(folder, "records.json")), `"severityText":"WARN"`)
	for _, name := range []string{`"kill.signals"`, `"traces.span.metrics.calls"`, `"terminate sleep"`, `"auditkill"`} {
		harness.Eventually(t, func() bool {
			text, _ := os.ReadFile(filepath.Join(folder, "metrics.json")) // it may not exist yet
			return strings.Contains(string(text), name)
		}, "%s in the metrics", name)
	}
	require.NoError(t, command.Process.Signal(syscall.SIGTERM))
	status, ended := running.Wait()
	assert.True(t, ended)
	assert.Zero(t, status, running.Output.String())
}

// `go install .../cmd/auditkill@VERSION` works with any version that a tag names: here one of this tree, from a proxy of files.
func TestGoInstall(t *testing.T) {
	version := fmt.Sprintf("v0.1.1-test.%d", time.Now().UnixNano())
	proxy := serveModule(t, version)
	bin := t.TempDir()
	command := exec.Command("go", "install", ownModule+"/cmd/auditkill@"+version) //nolint:gosec // of this tree
	command.Dir = bin
	command.Env = append(os.Environ(), "GOBIN="+bin, "GOFLAGS=", "CGO_ENABLED=0", "GONOSUMDB="+ownModule,
		"GOPROXY=file://"+proxy+","+goEnvironment(t, "GOPROXY"))
	t.Cleanup(func() { forgetModule(t, version) })
	said, err := command.CombinedOutput()
	require.NoError(t, err, "%s", said)
	assert.Contains(t, shell(t, filepath.Join(bin, "auditkill"), "version"), "auditkill "+strings.TrimPrefix(version, "v")+" ")
}

// serveModule writes this tree as a version of the module, in a folder that is laid out as a module proxy.
func serveModule(t *testing.T, version string) string {
	t.Helper()
	proxy := t.TempDir()
	folder := filepath.Join(proxy, ownModule, "@v")
	require.NoError(t, os.MkdirAll(folder, 0o700))
	at := func(ending string) string { return filepath.Join(folder, version+ending) }
	require.NoError(t, os.WriteFile(filepath.Join(folder, "list"), []byte(version+"\n"), 0o600))
	require.NoError(t, os.WriteFile(at(".info"), fmt.Appendf(nil, `{"Version": %q}`, version), 0o600))
	require.NoError(t, os.WriteFile(at(".mod"), []byte(read(t, harness.Path("go.mod"))), 0o600))
	archive, err := os.Create(at(".zip"))
	require.NoError(t, err)
	require.NoError(t, zip.CreateFromDir(archive, module.Version{Path: ownModule, Version: version}, harness.Path()))
	require.NoError(t, archive.Close())
	return proxy
}

// forgetModule removes a version from the module cache.
func forgetModule(t *testing.T, version string) {
	t.Helper()
	cache := goEnvironment(t, "GOMODCACHE")
	extracted := filepath.Join(cache, ownModule+"@"+version)
	_ = exec.Command("chmod", "-R", "u+w", extracted).Run() //nolint:gosec // go makes it read-only
	require.NoError(t, os.RemoveAll(extracted))
	paths, err := filepath.Glob(filepath.Join(cache, "cache", "download", ownModule, "@v", version+"*"))
	require.NoError(t, err)
	for _, path := range paths {
		assert.NoError(t, os.Remove(path))
	}
}

func goEnvironment(t *testing.T, name string) string {
	t.Helper()
	return strings.TrimSpace(shell(t, "go", "env", name))
}
