// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// The Helm chart, the kustomizations and the quick start. The tests need no Kubernetes: e2e/programs/charts has the programs'
// own packages, and kubeconform's schemas are in this repository.

// buildCharts builds the program once for a test, and returns a function that runs it.
func buildCharts(t *testing.T) func(t *testing.T, valid bool, arguments ...string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "charts")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".") //nolint:gosec // a program of the tests
	build.Dir = harness.Module("charts")
	said, err := build.CombinedOutput()
	require.NoError(t, err, "%s", said)
	return func(t *testing.T, valid bool, arguments ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), program, arguments...) //nolint:gosec // was just built
		var said strings.Builder
		command.Stderr = &said
		output, err := command.Output()
		require.Equal(t, valid, err == nil, "%v: %s%s", arguments, output, said.String())
		return string(output)
	}
}

// written writes manifests into a file, and returns its path.
func written(t *testing.T, manifests string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "manifests.yaml")
	require.NoError(t, os.WriteFile(path, []byte(manifests), 0o600))
	return path
}

const (
	digest      = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	chartFolder = "deploy/helm/auditkill"
)

func TestManifestsConform(t *testing.T) {
	t.Parallel()
	run := buildCharts(t)
	schemas := filepath.Join(harness.Module("charts"), "schemas")
	conforms := func(t *testing.T, paths ...string) {
		t.Helper()
		run(t, true, append([]string{"check", schemas}, paths...)...)
	}

	t.Run("files", func(t *testing.T) {
		t.Parallel()
		paths, err := filepath.Glob(harness.Path("deploy/kubernetes/*.yaml"))
		require.NoError(t, err)
		paths = slices.DeleteFunc(paths, func(path string) bool { return filepath.Base(path) == "kustomization.yaml" })
		require.Greater(t, len(paths), 7)
		conforms(t, paths...)
	})
	t.Run("what is wrong is found", func(t *testing.T) {
		t.Parallel()
		good := read(t, harness.Path("deploy/kubernetes/quickstart.yaml"))
		for _, change := range [][2]string{
			{"hostPID: false", "hostPid: false"},
			{"periodSeconds: 5", "periodSeconds: five"},
			{"kind: ServiceAccount", "kind: ServiceAcount"},
		} {
			require.Contains(t, good, change[0])
			run(t, false, "check", schemas, written(t, strings.Replace(good, change[0], change[1], 1)))
		}
	})
	t.Run("kustomize", func(t *testing.T) {
		t.Parallel()
		checkKustomizations(t, func(t *testing.T, folder string) string {
			t.Helper()
			path := written(t, run(t, true, "kustomize", harness.Path(folder)))
			conforms(t, path)
			return path
		})
		checkPatchedConfiguration(t, func(t *testing.T, folder string) string {
			t.Helper()
			return written(t, run(t, true, "kustomize", folder))
		})
	})
	t.Run("helm", func(t *testing.T) {
		t.Parallel()
		run(t, true, "lint", harness.Path(chartFolder))
		checkChart(t, func(t *testing.T, values string) string {
			t.Helper()
			path := written(t, run(t, true, "template", harness.Path(chartFolder), "auditkill", values))
			conforms(t, path)
			return path
		})
		for _, values := range []string{"source: audit", "image: {digest: latest}", "exporter: file", "otlp: {endpoint: host:4317}", "sources: ebpf"} {
			run(t, false, "template", harness.Path(chartFolder), "auditkill", values)
		}
	})
}

// agentOf returns the pod of the only DaemonSet in a file, and its only container.
func agentOf(t *testing.T, path string) (pod, container) {
	t.Helper()
	agent := only(t, manifests(t, path), "DaemonSet").Spec.Template.Spec
	require.Len(t, agent.Containers, 1)
	return agent, agent.Containers[0]
}

// checkKustomizations checks what each overlay changes. Kustomize takes a base that contains its overlay for a cycle, so they have a
// folder of their own. Objects of others' kinds are not for the strict reader.
func checkKustomizations(t *testing.T, build func(*testing.T, string) string) {
	t.Helper()
	built := build(t, "deploy/kubernetes")
	assertStartsAnew(t, built)
	base, agent := agentOf(t, built)
	plain, _ := agentOf(t, "daemonset-ebpf.yaml")
	assert.Equal(t, plain, base, "the base is daemonset-ebpf.yaml")

	for _, source := range []string{"netlink", "file"} {
		overlay := build(t, "deploy/kustomize/"+source)
		assertStartsAnew(t, overlay)
		assert.Equal(t, whole(t, "daemonset-"+source+".yaml"), withoutAnnotations(t, whole(t, overlay)), "but for that the overlay says the same as the file")
	}

	built = build(t, "deploy/kustomize/site")
	assertStartsAnew(t, built)
	_, site := agentOf(t, built)
	assert.Regexp(t, `^registry\.example\.com/otelcol-auditkill@sha256:[0-9a-f]{64}$`, site.Image)
	assert.Equal(t, "gateway.example.com:4317", valueOf(site, "GATEWAY_ENDPOINT"))
	assert.Equal(t, agent.SecurityContext, site.SecurityContext)

	// The overlay says the same as the two patches.
	behind, _ := agentOf(t, build(t, "deploy/kustomize/behind"))
	patches := make(map[string]string)
	for _, patch := range []string{"behind.yaml", "names.yaml"} {
		for _, volume := range only(t, patched(t, patch, "daemonset-ebpf.yaml"), "DaemonSet").Spec.Template.Spec.Volumes {
			if volume.HostPath != nil {
				patches[volume.Name] = volume.HostPath.Path
			}
		}
	}
	got := make(map[string]string)
	for _, volume := range behind.Volumes {
		if volume.HostPath != nil {
			got[volume.Name] = volume.HostPath.Path
		}
	}
	assert.Equal(t, patches, got)

	for overlay, kind := range map[string]string{"prometheus": "PodMonitor", "openshift": "SecurityContextConstraints"} {
		assert.Contains(t, read(t, build(t, "deploy/kustomize/"+overlay)), "\nkind: "+kind+"\n")
	}
}

// assertStartsAnew asserts that a changed configuration is another pod.
func assertStartsAnew(t *testing.T, path string) (config string) {
	t.Helper()
	objects := manifests(t, path)
	config = only(t, objects, "DaemonSet").Spec.Template.Metadata.Annotations["auditkill/config"]
	assert.NotEmpty(t, config)
	assert.Equal(t, only(t, objects, "ConfigMap").Data["agent.yaml"], config)
	return config
}

// withoutAnnotations takes away the annotations of a DaemonSet's pods.
func withoutAnnotations(t *testing.T, daemonSet any) any {
	t.Helper()
	template := daemonSet.(map[string]any)["spec"].(map[string]any)["template"].(map[string]any)
	delete(template["metadata"].(map[string]any), "annotations")
	return daemonSet
}

// checkPatchedConfiguration patches the ConfigMap where a site does it: in a copy of its overlay.
func checkPatchedConfiguration(t *testing.T, build func(*testing.T, string) string) {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"kubernetes", "kustomize"} {
		require.NoError(t, os.CopyFS(filepath.Join(folder, name), os.DirFS(harness.Path("deploy/"+name))))
	}
	site := filepath.Join(folder, "kustomize", "site")
	patched := read(t, filepath.Join(site, "kustomization.yaml")) + `  - patch: |
      apiVersion: v1
      kind: ConfigMap
      metadata: {name: otelcol-auditkill-agent, namespace: auditkill}
      data: {agent.yaml: "receivers: {}"}
`
	require.NoError(t, os.WriteFile(filepath.Join(site, "kustomization.yaml"), []byte(patched), 0o600))
	assert.Equal(t, "receivers: {}", assertStartsAnew(t, build(t, site)))
}

// checkChart checks that the chart's agents are those of the manifests, with what the values say.
func checkChart(t *testing.T, render func(*testing.T, string) string) {
	t.Helper()
	for _, source := range []string{"ebpf", "netlink", "file"} {
		path := render(t, "{source: "+source+"}")
		assertProbed(t, path)
		agent, c := agentOf(t, path)
		plain, want := agentOf(t, "daemonset-"+source+".yaml")
		assert.Equal(t, want.SecurityContext, c.SecurityContext, source)
		assert.Equal(t, []bool{plain.HostPID, plain.HostNetwork}, []bool{agent.HostPID, agent.HostNetwork}, source)
		assertHardened(t, agent, c)
		mounted := func(c container) (paths []string) {
			for _, mount := range c.VolumeMounts {
				if mount.Name != "tls" && mount.Name != "config" {
					paths = append(paths, mount.MountPath)
				}
				assert.Equal(t, mount.Name != "state", mount.ReadOnly, "%s is read-only", mount.MountPath)
			}
			return paths
		}
		assert.Equal(t, mounted(want), mounted(c), source)
		assertValid(t, c, harness.Path("configs/kubernetes.yaml"))
	}

	path := render(t, `
image: {repository: registry.example.com/auditkill, digest: "`+digest+`"}
exporter: otlp_http
otlp: {endpoint: "https://otlp.example.com:4318"}
receiver: {targets: [mysqld, "postgres*"]}
env: {STORAGE_DIRECTORY: /var/lib/otelcol-auditkill}
behind: true
names: true
priorityClassName: system-node-critical
`)
	_, c := agentOf(t, path)
	assert.Equal(t, "registry.example.com/auditkill@"+digest, c.Image)
	assert.Equal(t, "otlp_http", valueOf(c, "EXPORTER"))
	assert.Equal(t, "https://otlp.example.com:4318", valueOf(c, "OTLP_ENDPOINT"))
	assert.Contains(t, c.Args[1], `"targets":["mysqld","postgres*"]`)
	assertValid(t, c, harness.Path("configs/kubernetes.yaml"))
	objects := manifests(t, path)
	assert.Equal(t, read(t, harness.Path("configs/kubernetes.yaml")), only(t, objects, "ConfigMap").Data["kubernetes.yaml"],
		"the chart's file must equal configs/kubernetes.yaml; run `make manifests`")

	others := read(t, render(t, "{podMonitor: {enabled: true}, securityContextConstraints: {enabled: true}}"))
	assert.Contains(t, others, "\nkind: PodMonitor\n")
	assert.Contains(t, others, "\nkind: SecurityContextConstraints\n")
}

// The operator makes a ConfigMap of what stands in the custom resource.
func TestConfigurationOfTheOperator(t *testing.T) {
	t.Parallel()
	resource, err := confmap.NewRetrievedFromYAML([]byte(read(t, harness.Path("deploy/kubernetes/operator.yaml"))))
	require.NoError(t, err)
	whole, err := resource.AsConf()
	require.NoError(t, err)
	config, err := whole.Sub("spec::config")
	require.NoError(t, err)
	require.NotEmpty(t, config.AllKeys())
	text, err := json.Marshal(config.ToStringMap()) // which is YAML, too
	require.NoError(t, err)
	assertValid(t, container{Args: []string{"--config=" + written(t, string(text))}}, "")
}

// The quick start is the agent of daemonset-ebpf.yaml without certificates, and prints or sends.
func TestQuickstartOfKubernetes(t *testing.T) {
	t.Parallel()
	objects := manifests(t, "quickstart.yaml")
	agent, c := agentOf(t, "quickstart.yaml")
	_, want := agentOf(t, "daemonset-ebpf.yaml")
	assert.Equal(t, want.SecurityContext, c.SecurityContext)
	assertHardened(t, agent, c)
	for _, volume := range agent.Volumes {
		assert.Nil(t, volume.Secret)
	}
	assert.Equal(t, read(t, harness.Path("configs/kubernetes.yaml")), only(t, objects, "ConfigMap").Data["kubernetes.yaml"],
		"the ConfigMap must equal configs/kubernetes.yaml; run `make manifests`")
	assert.Equal(t, fmt.Sprintf("%x", sha256.Sum256([]byte(read(t, harness.Path("configs/kubernetes.yaml"))))),
		only(t, objects, "DaemonSet").Spec.Template.Metadata.Annotations["checksum/config"], "a changed configuration is another pod; run `make manifests`")
	for i := range c.Env {
		if c.Env[i].Name == "EXPORTER" {
			for _, exporter := range []string{"console", "debug", "otlp_http"} {
				c.Env[i].Value = exporter
				assertValid(t, c, harness.Path("configs/kubernetes.yaml"))
			}
		}
	}
	for _, name := range []string{"quickstart.yaml", "daemonset-ebpf.yaml", "daemonset-netlink.yaml", "daemonset-file.yaml"} {
		assertProbed(t, name)
	}
}

// assertProbed asserts that the kubelet asks where the collector answers: a probe without a host goes to the pod's address.
func assertProbed(t *testing.T, path string) {
	t.Helper()
	agent, c := agentOf(t, path)
	assert.Equal(t, "health", c.ReadinessProbe.HTTPGet.Port, path)
	assert.Equal(t, c.ReadinessProbe.HTTPGet, c.LivenessProbe.HTTPGet, path)
	host, endpoint := "", "[$(POD_IP)]:13133"
	if agent.HostNetwork {
		host, endpoint = "127.0.0.1", "127.0.0.1:13133"
	}
	assert.Equal(t, host, c.ReadinessProbe.HTTPGet.Host, path)
	assert.Equal(t, endpoint, valueOf(c, "HEALTH_ENDPOINT"), path)
}

// valueOf returns the last value of an environment variable, which is the one that counts.
func valueOf(c container, name string) (value string) {
	for _, variable := range c.Env {
		if variable.Name == name {
			value = variable.Value
		}
	}
	return value
}
