// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/backend/faulty"
	"github.com/auditkill/auditkillreceiver/e2e/internal/certificates"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

// A gateway as it is deployed, and its limits for memory and disk.

// deployedGateway is the environment of a gateway, with a backend that it sends to.
type deployedGateway struct {
	port        int
	backend     *faulty.Backend
	made        certificates.Files
	environment map[string]string
}

func newDeployedGateway(t *testing.T) *deployedGateway {
	t.Helper()
	g := &deployedGateway{port: harness.FreePort(t), backend: faulty.New(t), made: certificates.New(t)}
	g.environment = map[string]string{
		"LISTEN_ENDPOINT": fmt.Sprintf("127.0.0.1:%d", g.port), "HEALTH_ENDPOINT": harness.FreeAddress(t),
		"METRICS_HOST": "127.0.0.1", "METRICS_PORT": strconv.Itoa(harness.FreePort(t)),
		"LOGS_ENDPOINT": g.backend.Server.URL, "TRACES_ENDPOINT": shipped.NoTraces(t),
	}
	return g
}

// handsOn asserts that what an agent sends to the gateway arrives at the backend.
func (g *deployedGateway) handsOn(t *testing.T) {
	t.Helper()
	environment := g.made.Environment()
	environment["GATEWAY_ENDPOINT"] = fmt.Sprintf("localhost:%d", g.port)
	g.backend.Arrive(t, shipped.StartReading(t, "configs/agent.yaml", environment).Add(t, 10))
}

// assignments returns the variables of an environment as NAME=value, sorted.
func assignments(environment map[string]string) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		lines = append(lines, name+"="+environment[name])
	}
	return lines
}

// The packaged service becomes a gateway as docs/install.md says. It has no capabilities.
func TestServiceIsAGateway(t *testing.T) {
	needDpkg(t)
	deb, _ := makePackages(t, "0.1.0")
	install(t, deb)
	g := newDeployedGateway(t)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(packageKeys)) })
	shell(t, "install", "-d", "-m", "0750", "-g", packageName, packageKeys)
	shell(t, "install", "-m", "0640", "-g", packageName, g.made.CA, g.made.Cert, g.made.Key, packageKeys)
	shell(t, "install", "-m", "0644", filepath.Join(packageShare, "configs/gateway.yaml"), packageConfig)
	appendTo(t, filepath.Join(filepath.Dir(packageConfig), "environment"), "\n"+strings.Join(assignments(g.environment), "\n")+"\n")

	u := readUnit(t, packagedUnit, filepath.Join(packageShare, "systemd/gateway.conf"))
	assert.Empty(t, u["AmbientCapabilities"])
	assert.Empty(t, u["CapabilityBoundingSet"])
	service := u.service(t)
	g.handsOn(t)
	entries, err := os.ReadDir(packageState)
	require.NoError(t, err)
	assert.NotEmpty(t, entries, "the queue of the gateway")
	service.Stop()
}

var gatewayCommand = regexp.MustCompile(`(?s)docker run ([^\n]*\\\n#[^\n]*)*--config /etc/otelcol-auditkill/gateway\.yaml\n`)

// The command at the head of the Dockerfile runs the image as a gateway, as its unprivileged user.
func TestImageIsAGateway(t *testing.T) {
	harness.NeedRoot(t)
	command := gatewayCommand.FindString(read(t, harness.Path("deploy/docker/Dockerfile")))
	require.NotEmpty(t, command)
	words := strings.Fields(strings.ReplaceAll(command, "\\\n#", " "))
	g := newDeployedGateway(t)
	said := make(map[string]string)
	for i, word := range words {
		if word == "-e" {
			name, value, _ := strings.Cut(words[i+1], "=")
			said[name] = value
		}
	}
	assert.Equal(t, "0.0.0.0:13133", said["HEALTH_ENDPOINT"], "it is reachable from outside the container")
	assert.Equal(t, "0.0.0.0", said["METRICS_HOST"], "it is reachable from outside the container")
	maps.Copy(said, g.environment)
	g.environment = said

	i := readImage(t)
	require.NoError(t, os.Mkdir(i.root+"/proc", 0o755))
	keys, state := filepath.Join(i.root, "/etc/otelcol-auditkill/tls"), "/var/lib/otelcol-auditkill"
	require.NoError(t, os.Mkdir(keys, 0o755))
	shell(t, "install", "-m", "0440", "-g", strconv.Itoa(i.uid), g.made.CA, g.made.Cert, g.made.Key, keys)
	s := sandbox{
		Root: i.root, UID: i.uid, GID: i.uid, NoNewPrivileges: true, Environment: assignments(g.environment),
		Command: append(i.entrypoint, words[slices.Index(words, "--config"):]...),
		Binds:   []bind{{i.root + state, state}}, Writable: []string{state},
	}
	c := s.start(t, unix.CLONE_NEWNS|unix.CLONE_NEWPID)
	c.Ready()
	s.assertRights(t, c.PID())
	response, err := http.Get("http://" + g.environment["HEALTH_ENDPOINT"]) //nolint:noctx // a local process
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusOK, response.StatusCode)
	g.handsOn(t)
	c.Stop()
}

var (
	memoryDefault = regexp.MustCompile(`\$\{env:MEMORY_LIMIT_MIB:-(\d+)\}`)
	memoryPattern = regexp.MustCompile(`^(\d+)(M|MiB|Mi|G|Gi|)$`)
	queuePattern  = regexp.MustCompile(`(?m)^ *queue_size: ([\d_]+)`)
)

// mebibytes parses a size in the formats of systemd, the Go runtime, Kubernetes and our configurations.
func mebibytes(t *testing.T, size string) int {
	t.Helper()
	match := memoryPattern.FindStringSubmatch(size)
	require.NotNil(t, match, "%q", size)
	if strings.HasPrefix(match[2], "G") {
		return harness.Number(match[1]) * 1024
	}
	return harness.Number(match[1])
}

// The limit of the memory_limiter processor is below that of the Go runtime, which is below
// the one at which the kernel kills the process.
func TestMemoryLimits(t *testing.T) {
	t.Parallel()
	type limits struct{ limiter, runtime, kernel string }
	deployed := make(map[string]limits)
	for _, pattern := range []string{harness.Path("configs/*.yaml"), harness.Path("configs/fleet/*.yaml")} {
		paths, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, path := range paths {
			text := read(t, path)
			units := []string{harness.Path("deploy/systemd/otelcol-auditkill.service")}
			if !strings.Contains(text, "\n  audit_kill:") {
				units = append(units, harness.Path("deploy/systemd/gateway.conf"))
			}
			if limiter := memoryDefault.FindStringSubmatch(text); limiter != nil {
				u := readUnit(t, units...)
				deployed[path] = limits{limiter[1], variable(u.environment(t), "GOMEMLIMIT"), u.value("MemoryMax")}
			}
		}
	}
	assert.Subset(t, slices.Collect(maps.Keys(deployed)), []string{harness.Path("configs/agent.yaml"), harness.Path("configs/gateway.yaml")})
	for manifest, kind := range map[string]string{
		"daemonset-ebpf.yaml": "DaemonSet", "daemonset-netlink.yaml": "DaemonSet", "daemonset-file.yaml": "DaemonSet",
		"gateway.yaml": "StatefulSet", "quickstart.yaml": "DaemonSet",
	} {
		c := only(t, manifests(t, manifest), kind).Spec.Template.Spec.Containers[0]
		var environment []string
		for _, v := range c.Env {
			environment = append(environment, v.Name+"="+v.Value)
		}
		deployed[manifest] = limits{
			variable(environment, "MEMORY_LIMIT_MIB"), variable(environment, "GOMEMLIMIT"), c.Resources.Limits.Memory,
		}
	}
	for name, l := range deployed {
		limiter, runtime, kernel := mebibytes(t, l.limiter), mebibytes(t, l.runtime), mebibytes(t, l.kernel)
		assert.Less(t, limiter, runtime, name)
		assert.Less(t, runtime, kernel, name)
	}
}

// variable returns a variable of an environment.
func variable(environment []string, name string) string {
	for _, v := range environment {
		if value, found := strings.CutPrefix(v, name+"="); found {
			return value
		}
	}
	return ""
}

// The volume of a gateway has room for three times its queues (docs/delivery.md).
func TestVolumeHoldsTheQueues(t *testing.T) {
	t.Parallel()
	queues := 0
	for _, match := range queuePattern.FindAllStringSubmatch(read(t, harness.Path("configs/gateway.yaml")), -1) {
		queues += harness.Number(strings.ReplaceAll(match[1], "_", ""))
	}
	require.Positive(t, queues)
	claims := only(t, manifests(t, "gateway.yaml"), "StatefulSet").Spec.VolumeClaimTemplates
	require.Len(t, claims, 1)
	assert.GreaterOrEqual(t, mebibytes(t, claims[0].Spec.Resources.Requests.Storage)<<20, 3*queues)
}
