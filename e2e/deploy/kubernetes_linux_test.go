// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// The manifests for Kubernetes. The tests need no Kubernetes.

// object has the fields of a Kubernetes object that the tests check.
type object struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	// Data is the data of a ConfigMap.
	Data map[string]string
	Spec struct {
		Template struct {
			Metadata struct{ Annotations map[string]string }
			Spec     pod
		}
		VolumeClaimTemplates []struct {
			Spec struct {
				Resources struct{ Requests struct{ Storage string } }
			}
		}
	}
}

type pod struct {
	HostPID, HostNetwork         bool
	AutomountServiceAccountToken *bool
	SecurityContext              struct{ FSGroup int }
	Containers                   []container
	Volumes                      []struct {
		Name     string
		HostPath *struct{ Path string }
		Secret   *struct {
			DefaultMode os.FileMode
			Items       []struct{ Key, Path string }
		}
	}
}

type container struct {
	Image           string
	Args            []string
	Env             []struct{ Name, Value string }
	Resources       struct{ Limits struct{ Memory string } }
	SecurityContext struct {
		RunAsUser                                        *int
		Privileged                                       bool
		AllowPrivilegeEscalation, ReadOnlyRootFilesystem *bool
		Capabilities                                     struct{ Add, Drop []string }
		SeccompProfile, AppArmorProfile                  struct{ Type string }
	}
	ReadinessProbe, LivenessProbe struct{ HTTPGet struct{ Host, Port string } }
	VolumeMounts                  []struct {
		Name, MountPath, SubPath string
		ReadOnly                 bool
	}
}

// manifests returns the objects in manifests. It reads them as strictly as an API server.
func manifests(t *testing.T, names ...string) []object {
	t.Helper()
	return patched(t, "", names...)
}

// patched returns the objects in manifests after a patch has been applied, unless that is empty.
func patched(t *testing.T, patch string, names ...string) []object {
	t.Helper()
	var objects []object
	for _, line := range converted(t, patch, names...) {
		var o object
		require.NoError(t, json.Unmarshal([]byte(line), &o))
		objects = append(objects, o)
	}
	return objects
}

// whole returns all that the only DaemonSet in a file says, lists of objects in one order.
func whole(t *testing.T, path string) any {
	t.Helper()
	for _, line := range converted(t, "", path) {
		var o map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &o))
		if o["kind"] == "DaemonSet" {
			return inOrder(o)
		}
	}
	require.Fail(t, "no DaemonSet", path)
	return nil
}

func inOrder(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key := range value {
			value[key] = inOrder(value[key])
		}
	case []any:
		for i := range value {
			value[i] = inOrder(value[i])
		}
		if len(value) > 0 && reflect.TypeOf(value[0]).Kind() == reflect.Map {
			slices.SortFunc(value, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		}
	}
	return value
}

// converted returns the objects in manifests as JSON, after a patch has been applied, unless that is empty.
func converted(t *testing.T, patch string, names ...string) []string {
	t.Helper()
	path := func(name string) string {
		if filepath.IsAbs(name) {
			return name
		}
		path, err := filepath.Abs(harness.Path("deploy/kubernetes", name))
		require.NoError(t, err)
		return path
	}
	arguments := []string{"-C", harness.Module("kubernetes"), "run", "."}
	if patch != "" {
		arguments = append(arguments, "--patch="+path(patch))
	}
	for _, name := range names {
		arguments = append(arguments, path(name))
	}
	command := exec.CommandContext(t.Context(), "go", arguments...) //nolint:gosec // a program of the tests
	var said strings.Builder
	command.Stderr = &said
	output, err := command.Output()
	require.NoError(t, err, said.String())
	return slices.Collect(strings.Lines(string(output)))
}

// only returns the only object of a kind.
func only(t *testing.T, objects []object, kind string) object {
	t.Helper()
	var found []object
	for _, o := range objects {
		if o.Kind == kind {
			found = append(found, o)
		}
	}
	require.Len(t, found, 1, kind)
	return found[0]
}

// The agents have exactly the rights that their source needs.
func TestManifestsGrantWhatIsNeeded(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		hostPID, hostNetwork bool
		capabilities         []string
		appArmor             string
	}{
		"ebpf": {capabilities: []string{"BPF", "PERFMON", "SYS_PTRACE"}, appArmor: "Unconfined"},
		"netlink": {
			hostPID: true, hostNetwork: true,
			capabilities: []string{"AUDIT_READ", "AUDIT_CONTROL", "SYS_PTRACE", "NET_ADMIN"}, appArmor: "Unconfined",
		},
		"file": {},
	}
	for source, test := range tests {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			objects := manifests(t, "agent.yaml", "daemonset-"+source+".yaml")
			agent := only(t, objects, "DaemonSet").Spec.Template.Spec
			require.Len(t, agent.Containers, 1)
			c := agent.Containers[0]
			assert.Equal(t, test.hostPID, agent.HostPID, "hostPID")
			assert.Equal(t, test.hostNetwork, agent.HostNetwork, "hostNetwork")
			assert.Equal(t, test.capabilities, c.SecurityContext.Capabilities.Add)
			assert.Equal(t, test.appArmor, c.SecurityContext.AppArmorProfile.Type)
			assertHardened(t, agent, c)
			for _, mount := range c.VolumeMounts {
				assert.Equal(t, mount.Name != "state", mount.ReadOnly, "%s is read-only", mount.MountPath)
			}
			assert.Equal(t, read(t, harness.Path("configs/agent.yaml")), only(t, objects, "ConfigMap").Data["agent.yaml"],
				"the ConfigMap must equal configs/agent.yaml; run `make manifests`")
			assertValid(t, c, harness.Path("configs/agent.yaml"))
		})
	}
	t.Run("gateway", func(t *testing.T) {
		t.Parallel()
		objects := manifests(t, "gateway.yaml")
		gateway := only(t, objects, "StatefulSet").Spec.Template.Spec
		require.Len(t, gateway.Containers, 1)
		assertHardened(t, gateway, gateway.Containers[0])
		assert.Empty(t, gateway.Containers[0].SecurityContext.Capabilities.Add)
		assert.Equal(t, read(t, harness.Path("configs/gateway.yaml")), only(t, objects, "ConfigMap").Data["gateway.yaml"],
			"the ConfigMap must equal configs/gateway.yaml; run `make manifests`")
		assertValid(t, gateway.Containers[0], harness.Path("configs/gateway.yaml"))
	})
}

// The patches add mounts, and no right.
func TestPatchesGrantWhatIsNeeded(t *testing.T) {
	t.Parallel()
	behind := map[string]string{"dbus": "/run/dbus", "sessions": "/run/systemd/sessions"}
	names := map[string]string{"container-logs": "/var/log/containers"}
	for _, test := range []struct {
		source, patch string
		mounts        map[string]string
	}{
		{"ebpf", "behind.yaml", behind},
		{"netlink", "behind.yaml", behind},
		{"ebpf", "names.yaml", names},
		{"netlink", "names.yaml", names},
		{"file", "names.yaml", names},
	} {
		t.Run(test.source+" "+test.patch, func(t *testing.T) {
			t.Parallel()
			name := "daemonset-" + test.source + ".yaml"
			before := only(t, manifests(t, name), "DaemonSet").Spec.Template.Spec
			after := only(t, patched(t, test.patch, name), "DaemonSet").Spec.Template.Spec
			added := make(map[string]string)
			for _, volume := range after.Volumes[:len(after.Volumes)-len(before.Volumes)] {
				added[volume.Name] = volume.HostPath.Path
			}
			assert.Equal(t, test.mounts, added)
			require.Len(t, after.Containers, 1)
			mounts := &after.Containers[0].VolumeMounts
			for _, mount := range (*mounts)[:len(added)] {
				assert.Equal(t, "/host"+added[mount.Name], mount.MountPath, "the receiver's root_path is /host")
				assert.True(t, mount.ReadOnly, mount.Name)
			}
			after.Volumes, *mounts = after.Volumes[len(added):], (*mounts)[len(added):]
			assert.Equal(t, before, after)
		})
	}
}

func assertHardened(t *testing.T, p pod, c container) {
	t.Helper()
	yes, no := true, false
	assert.Equal(t, []string{"ALL"}, c.SecurityContext.Capabilities.Drop)
	assert.Equal(t, &no, c.SecurityContext.AllowPrivilegeEscalation)
	assert.Equal(t, &yes, c.SecurityContext.ReadOnlyRootFilesystem)
	assert.False(t, c.SecurityContext.Privileged)
	assert.Equal(t, &no, p.AutomountServiceAccountToken)
}

// assertValid asserts that the collector accepts the arguments and the environment of a container.
func assertValid(t *testing.T, c container, config string) {
	t.Helper()
	words := []string{"validate"}
	for _, argument := range c.Args {
		if path, named := strings.CutPrefix(argument, "--config=/etc/otelcol-auditkill/"); named {
			require.Equal(t, filepath.Base(config), path)
			argument = "--config=" + config
		}
		words = append(words, argument)
	}
	said, code := collector.Run(t, collector.Arguments(words...), func(command *exec.Cmd) {
		for _, variable := range c.Env {
			command.Env = append(command.Env, variable.Name+"="+strings.ReplaceAll(variable.Value, "$(POD_IP)", "127.0.0.1"))
		}
	})
	assert.Equal(t, 0, code, said)
}
