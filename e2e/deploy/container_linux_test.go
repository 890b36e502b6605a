// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"encoding/json"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/certificates"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// The image, and the pods that run it. The tests need no container runtime: this program does its part,
// see sandbox_linux_test.go.

// image is the result of the last stage of the Dockerfile.
type image struct {
	root string
	uid  int
	// entrypoint and command are the two halves of the command line.
	entrypoint, command []string
}

// readImage builds the image: it does what the last stage of the Dockerfile says.
func readImage(t *testing.T) image {
	t.Helper()
	shell(t, "make", "-C", harness.Path(), "binary")
	i := image{root: harness.PublicDir(t)}
	built := map[string]string{
		"/built/otelcol-auditkill": harness.Path("_build/linux_"+runtime.GOARCH, "otelcol-auditkill"),
		"/built/auditkill":         harness.Path("_build/linux_"+runtime.GOARCH, "auditkill"),
		"/empty":                   t.TempDir(),
	}
	text := read(t, harness.Path("deploy/docker/Dockerfile"))
	for line := range strings.Lines(text[strings.LastIndex(text, "\nFROM scratch\n"):]) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch instruction {
		case "COPY":
			i.copy(t, strings.Fields(rest), built)
		case "USER":
			uid, _, _ := strings.Cut(rest, ":")
			i.uid = harness.Number(uid)
		case "ENTRYPOINT":
			require.NoError(t, json.Unmarshal([]byte(rest), &i.entrypoint))
		case "CMD":
			require.NoError(t, json.Unmarshal([]byte(rest), &i.command))
		}
	}
	require.NotEmpty(t, i.entrypoint)
	return i
}

func (i *image) copy(t *testing.T, words []string, built map[string]string) {
	t.Helper()
	fromBuild, owned := false, false
	for strings.HasPrefix(words[0], "--") {
		fromBuild = fromBuild || words[0] == "--from=build"
		owned = owned || strings.HasPrefix(words[0], "--chown=65532:")
		words = words[1:]
	}
	to := i.root + words[len(words)-1]
	for _, from := range words[:len(words)-1] {
		switch {
		case fromBuild && built[from] != "":
			from = built[from]
		case !fromBuild:
			from = harness.Path(from)
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(to+"x"), 0o755))
		shell(t, "cp", "-r", from, to)
	}
	if owned {
		shell(t, "chown", "65532:65532", to)
	}
}

// volumes returns the mounts that the kubelet would make, and creates the mount points in the image. owner owns the
// volume with the state.
func (i *image) volumes(t *testing.T, p pod, owner int, log []bind) (binds []bind) {
	t.Helper()
	host := map[string]string{"config": harness.Path("configs/agent.yaml"), "tls": p.secret(t), "state": t.TempDir()}
	require.NoError(t, os.Chown(host["state"], owner, owner))
	for _, volume := range p.Volumes {
		if volume.HostPath != nil && volume.Name != "state" {
			host[volume.Name] = volume.HostPath.Path
		}
	}
	for _, b := range log {
		host["log"] = b.From
	}
	if _, err := os.Stat(host["machine-id"]); os.IsNotExist(err) { // the test runs in a container
		host["machine-id"] = filepath.Join(t.TempDir(), "machine-id")
		require.NoError(t, os.WriteFile(host["machine-id"], []byte("0123456789abcdef0123456789abcdef\n"), 0o644))
	}
	for _, mount := range p.Containers[0].VolumeMounts {
		from, err := filepath.Abs(host[mount.Name])
		require.NoError(t, err)
		binds = append(binds, bind{from, mount.MountPath})
	}
	binds = append(binds, bind{"/sys", "/sys"}) // as in every container
	for _, b := range append(binds, bind{"/proc", "/proc"}) {
		info, err := os.Stat(b.From)
		require.NoError(t, err)
		if info.IsDir() {
			require.NoError(t, os.MkdirAll(i.root+b.To, 0o755))
			continue
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(i.root+b.To), 0o755))
		require.NoError(t, os.WriteFile(i.root+b.To, nil, 0o644))
	}
	return binds
}

// secret returns a folder with the certificates, as the kubelet creates it from the pod's Secret.
func (p *pod) secret(t *testing.T) string {
	t.Helper()
	directory, made := harness.PublicDir(t), certificates.New(t)
	files := map[string]string{"ca.crt": made.CA, "tls.crt": made.Cert, "tls.key": made.Key}
	for _, volume := range p.Volumes {
		if volume.Secret == nil {
			continue
		}
		for _, item := range volume.Secret.Items {
			path := filepath.Join(directory, item.Path)
			require.NoError(t, os.WriteFile(path, []byte(read(t, files[item.Key])), 0o600))
			require.NoError(t, os.Chown(path, 0, p.SecurityContext.FSGroup))
			require.NoError(t, os.Chmod(path, volume.Secret.DefaultMode))
		}
	}
	return directory
}

// environment returns the variables of the pod's container.
func (p *pod) environment(t *testing.T) []string {
	t.Helper()
	environment := make(map[string]string)
	for _, variable := range p.Containers[0].Env {
		environment[variable.Name] = strings.ReplaceAll(variable.Value, "$(POD_IP)", "0.0.0.0")
	}
	if p.HostNetwork { // other programs may use these ports of the host
		environment["HEALTH_ENDPOINT"], environment["METRICS_PORT"] = harness.FreeAddress(t), strconv.Itoa(harness.FreePort(t))
	}
	return assignments(environment)
}

// existingGroup returns the first of these groups that this machine has.
func existingGroup(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if _, err := user.LookupGroup(name); err == nil {
			return name
		}
	}
	require.FailNow(t, "there is no such group", "%v", names)
	return ""
}

// The pods of the DaemonSets, with exactly their capabilities, namespaces and volumes, report a kill. They
// print it here, and send it to a gateway that does not exist.
func TestPodSeesAKill(t *testing.T) {
	pods := make(map[string]deployedSource)
	for _, source := range deployedSources {
		pods[source.name] = source
	}
	another := pods["file"]
	another.logGroup = existingGroup(t, "adm", "daemon", "nogroup", "nobody")
	pods["file, as another user than root"] = another
	for name, source := range pods {
		t.Run(name, func(t *testing.T) {
			log := source.prepare(t, harness.Path("deploy/audit_kill.rules"))
			agent := only(t, manifests(t, "daemonset-"+source.name+".yaml"), "DaemonSet").Spec.Template.Spec
			i := readImage(t)
			s := sandbox{Root: i.root, Command: append(i.entrypoint, agent.Containers[0].Args...), NoNewPrivileges: true}
			s.Command = append(s.Command, "--config=yaml:exporters::debug::verbosity: normal",
				"--config=yaml:service::pipelines::logs::exporters: [otlp_grpc, debug]",
				"--config=yaml:service::pipelines::traces::exporters: [otlp_grpc, debug]")
			s.Environment = agent.environment(t)
			s.UID = *agent.Containers[0].SecurityContext.RunAsUser
			if source.logGroup != "" { // as a comment in the manifest suggests
				group, err := user.LookupGroup(source.logGroup)
				require.NoError(t, err)
				s.UID, s.GID = 65532, harness.Number(group.Gid)
			}
			if group := agent.SecurityContext.FSGroup; group != 0 {
				s.Groups = []uint32{uint32(group)}
			}
			for _, name := range agent.Containers[0].SecurityContext.Capabilities.Add {
				s.Bounding |= 1 << capabilityNumbers["CAP_"+name]
			}
			s.Ambient = s.Bounding
			s.Binds = i.volumes(t, agent, s.UID, log)
			s.Writable = []string{"/var/lib/otelcol-auditkill"}
			namespaces := uintptr(unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP)
			if !agent.HostPID {
				namespaces |= unix.CLONE_NEWPID
			}
			if !agent.HostNetwork {
				namespaces |= unix.CLONE_NEWNET
			}
			victim := newVictim(t)
			c := s.start(t, namespaces)
			c.Ready()
			s.assertRights(t, c.PID())
			source.assertSees(t, c, victim)
			c.Stop()

			s.Command = []string{"/usr/bin/auditkill", "doctor", "--root-path", "/host"}
			doctor := s.start(t, namespaces) // as kubectl exec would
			assert.Equal(t, 0, doctor.Wait())
			chosen := strings.TrimPrefix(source.source, "audit_")
			assert.Contains(t, doctor.Output.String(), "a receiver with `audit_kill: {}` choose "+chosen+".")
		})
	}
}

// The image starts without anything of the host, as its unprivileged user.
func TestImageStartsByItself(t *testing.T) {
	harness.NeedRoot(t)
	i := readImage(t)
	require.NoError(t, os.Mkdir(i.root+"/proc", 0o755))
	s := sandbox{
		Root: i.root, UID: i.uid, GID: i.uid, NoNewPrivileges: true,
		Command: append(i.entrypoint, append([]string{"validate"}, i.command...)...),
	}
	for _, command := range [][]string{s.Command, {"/usr/bin/auditkill", "--version"}} {
		s.Command = command
		c := s.start(t, unix.CLONE_NEWNS|unix.CLONE_NEWPID|unix.CLONE_NEWNET)
		assert.Equal(t, 0, c.Wait(), c.Output.String())
	}
	authorities := read(t, i.root+"/etc/ssl/certs/ca-certificates.crt")
	assert.Contains(t, authorities, "BEGIN CERTIFICATE")
}
