// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

const (
	containerA = "0aaa0aaa0aaa0aaa0aaa0aaa0aaa0aaa0aaa0aaa0aaa0aaa0aaa0aaa0aaa0aaa"
	containerB = "1bbb1bbb1bbb1bbb1bbb1bbb1bbb1bbb1bbb1bbb1bbb1bbb1bbb1bbb1bbb1bbb"
	podA       = "6f2c1d3e-8a4b-4c5d-9e6f-0123456789ab"
	podASlice  = "pod6f2c1d3e_8a4b_4c5d_9e6f_0123456789ab.slice"
	mirrorPod  = "d39b8d1b9f2c4a6e8d0f1a2b3c4d5e6f"
)

func TestParseCgroup(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ path, container, pod, unit string }{
		"root":    {path: "/"},
		"nothing": {path: ""},
		// systemd
		"service":                    {path: "/system.slice/mysql.service", unit: "mysql.service"},
		"instance":                   {path: "/system.slice/system-postgresql.slice/postgresql@15-main.service", unit: "postgresql@15-main.service"},
		"escaped":                    {path: `/system.slice/dev-disk-by\x2dlabel-data.service`, unit: `dev-disk-by\x2dlabel-data.service`},
		"escaped from the kernel":    {path: "/system.slice/_cpu.service", unit: "cpu.service"},
		"below a delegated service":  {path: "/system.slice/systemd-udevd.service/udev", unit: "systemd-udevd.service"},
		"session":                    {path: "/user.slice/user-1000.slice/session-3.scope", unit: "session-3.scope"},
		"user manager":               {path: "/user.slice/user-1000.slice/user@1000.service/init.scope", unit: "user@1000.service"},
		"user service":               {path: "/user.slice/user-1000.slice/user@1000.service/app.slice/dbus.service", unit: "user@1000.service"},
		"user scope":                 {path: `/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-org.gnome.Terminal-4711.scope`, unit: "user@1000.service"},
		"init":                       {path: "/init.scope", unit: "init.scope"},
		"transient":                  {path: "/system.slice/run-r0123456789abcdef.scope", unit: "run-r0123456789abcdef.scope"},
		"slice only":                 {path: "/user.slice/user-1000.slice"},
		"machine":                    {path: `/machine.slice/machine-debian\x2d12.scope/payload`, unit: `machine-debian\x2d12.scope`},
		"nspawn":                     {path: "/machine.slice/systemd-nspawn@web.service/payload", unit: "systemd-nspawn@web.service"},
		"virtual machine":            {path: `/machine.slice/machine-qemu\x2d1\x2dvm1.scope/libvirt/emulator`, unit: `machine-qemu\x2d1\x2dvm1.scope`},
		"no name before the suffix":  {path: "/.service"},
		"not a name systemd accepts": {path: "/my group.service"},
		"too long a name":            {path: "/" + strings.Repeat("x", 256) + ".service"},
		// docker
		"docker, cgroupfs": {path: "/docker/" + containerA, container: containerA},
		"docker, systemd": {
			path:      "/system.slice/docker-" + containerA + ".scope",
			container: containerA, unit: "docker-" + containerA + ".scope",
		},
		"docker with a parent of its own": {path: "/my.slice/docker-" + containerA + ".scope", container: containerA, unit: "docker-" + containerA + ".scope"},
		"docker, rootless": {
			path: "/user.slice/user-1000.slice/user@1000.service/user.slice/docker-" + containerA + ".scope",
			unit: "user@1000.service",
		},
		"docker in docker":     {path: "/docker/" + containerA + "/docker/" + containerB, container: containerA},
		"systemd in docker":    {path: "/docker/" + containerA + "/system.slice/nginx.service", container: containerA},
		"init moved in docker": {path: "/docker/" + containerA + "/init", container: containerA},
		"docker's own service": {path: "/system.slice/docker.service", unit: "docker.service"},
		"build of docker":      {path: "/docker/buildkit/x0y1z2x0y1z2x0y1z2x0y1z2x"},
		"ECS":                  {path: "/ecs/11112222333344445555666677778888/" + containerA, container: containerA},
		"docker swarm is docker": {
			path:      "/system.slice/docker-" + containerB + ".scope/init",
			container: containerB, unit: "docker-" + containerB + ".scope",
		},
		// containerd
		"nerdctl": {path: "/default/" + containerA, container: containerA},
		"nerdctl, systemd": {
			path:      "/system.slice/nerdctl-" + containerA + ".scope",
			container: containerA, unit: "nerdctl-" + containerA + ".scope",
		},
		// Kubernetes
		"guaranteed, cgroupfs":  {path: "/kubepods/pod" + podA + "/" + containerA, container: containerA, pod: podA},
		"burstable, cgroupfs":   {path: "/kubepods/burstable/pod" + podA + "/" + containerA, container: containerA, pod: podA},
		"best effort, cgroupfs": {path: "/kubepods/besteffort/pod" + podA + "/" + containerA, container: containerA, pod: podA},
		"static pod":            {path: "/kubepods/burstable/pod" + mirrorPod + "/" + containerA, container: containerA, pod: mirrorPod},
		"containerd, systemd": {
			path:      "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-" + podASlice + "/cri-containerd-" + containerA + ".scope",
			container: containerA, pod: podA, unit: "cri-containerd-" + containerA + ".scope",
		},
		"guaranteed, systemd": {
			path:      "/kubepods.slice/kubepods-" + podASlice + "/cri-containerd-" + containerA + ".scope",
			container: containerA, pod: podA, unit: "cri-containerd-" + containerA + ".scope",
		},
		"static pod, systemd": {
			path:      "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + mirrorPod + ".slice/cri-containerd-" + containerA + ".scope",
			container: containerA, pod: mirrorPod, unit: "cri-containerd-" + containerA + ".scope",
		},
		"docker below the kubelet": {
			path:      "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-" + podASlice + "/docker-" + containerA + ".scope",
			container: containerA, pod: podA, unit: "docker-" + containerA + ".scope",
		},
		"containerd that was not told of systemd": {
			path:      "/system.slice/containerd.service/kubepods-burstable-" + podASlice + ":cri-containerd:" + containerA,
			container: containerA, pod: podA, unit: "containerd.service",
		},
		"CRI-O, systemd": {
			path:      "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-" + podASlice + "/crio-" + containerA + ".scope",
			container: containerA, pod: podA, unit: "crio-" + containerA + ".scope",
		},
		"CRI-O, with crun": {
			path:      "/kubepods.slice/kubepods-" + podASlice + "/crio-" + containerA + ".scope/container",
			container: containerA, pod: podA, unit: "crio-" + containerA + ".scope",
		},
		"CRI-O, cgroupfs": {path: "/kubepods/burstable/pod" + podA + "/crio-" + containerA, container: containerA, pod: podA},
		"CRI-O's conmon": {
			path: "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-" + podASlice + "/crio-conmon-" + containerA + ".scope",
			pod:  podA, unit: "crio-conmon-" + containerA + ".scope",
		},
		"pod itself": {path: "/kubepods/burstable/pod" + podA, pod: podA},
		"kind": {
			path: "/docker/" + containerA + "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-" +
				podASlice + "/cri-containerd-" + containerB + ".scope",
			container: containerA,
		},
		"kubelet of kind":   {path: "/docker/" + containerA + "/kubelet.slice/kubelet.service", container: containerA},
		"kubelet":           {path: "/system.slice/kubelet.service", unit: "kubelet.service"},
		"a pod of podman":   {path: "/machine.slice/machine-libpod_pod_" + containerA + ".slice"},
		"not a pod's slice": {path: "/my-" + podASlice},
		"not a pod's uid":   {path: "/kubepods/pod6f2c1d3e-8a4b-4c5d-9e6f0-123456789ab/x"},
		// podman
		"podman":        {path: "/machine.slice/libpod-" + containerA + ".scope", container: containerA, unit: "libpod-" + containerA + ".scope"},
		"podman, crun":  {path: "/machine.slice/libpod-" + containerA + ".scope/container", container: containerA, unit: "libpod-" + containerA + ".scope"},
		"podman in pod": {path: "/machine.slice/machine-libpod_pod_" + containerB + ".slice/libpod-" + containerA + ".scope/container", container: containerA, unit: "libpod-" + containerA + ".scope"},
		"podman, rootless": {
			path: "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + containerA + ".scope/container",
			unit: "user@1000.service",
		},
		"podman, cgroupfs":     {path: "/libpod_parent/libpod-" + containerA, container: containerA},
		"podman, split":        {path: "/system.slice/web.service/libpod-payload-" + containerA, container: containerA, unit: "web.service"},
		"podman's conmon":      {path: "/machine.slice/libpod-conmon-" + containerA + ".scope", unit: "libpod-conmon-" + containerA + ".scope"},
		"podman's conmon, fs":  {path: "/libpod_parent/libpod-conmon-" + containerA},
		"podman split, conmon": {path: "/system.slice/web.service/runtime", unit: "web.service"},
		// LXC
		"lxc":                  {path: "/lxc/web", container: "web"},
		"lxc of Proxmox":       {path: "/lxc/101/ns/system.slice/cron.service", container: "101"},
		"lxc, 4.0":             {path: "/lxc.payload/web/system.slice/cron.service", container: "web"},
		"lxd":                  {path: "/lxc.payload.web/system.slice/cron.service", container: "web"},
		"lxc's monitor":        {path: "/lxc.monitor.web"},
		"lxc without a name":   {path: "/lxc"},
		"lxc with nothing, /":  {path: "/lxc/"},
		"docker within lxc":    {path: "/lxc/web/docker/" + containerA, container: "web"},
		"63 digits":            {path: "/docker/" + containerA[1:]},
		"65 digits":            {path: "/docker/0" + containerA},
		"capital digits":       {path: "/docker/" + strings.ToUpper(containerA)},
		"digits behind a word": {path: "/docker/x" + containerA},
		// From within a cgroup namespace, as parseCgroups leaves it.
		"sibling container": {path: "/" + containerB, container: containerB},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			container, pod, unit := ParseCgroup(test.path)
			assert.Equal(t, test.container, container, "container")
			assert.Equal(t, test.pod, pod, "pod")
			assert.Equal(t, test.unit, unit, "unit")
		})
	}
}

// What the owner of a folder makes below it says nothing about the host: not a person, not who runs a
// service, not the root of a container.
func TestParseCgroupOfAnotherOwner(t *testing.T) {
	t.Parallel()
	const manager, session = "/user.slice/user-1000.slice/user@1000.service", "/user.slice/user-1000.slice/session-3.scope"
	pod := "kubepods-burstable-" + podASlice
	tests := map[string]struct{ path, container, pod, unit string }{
		// Below the manager of a person's own units.
		"a system service":         {path: manager + "/mysqld.service", unit: "user@1000.service"},
		"in system.slice":          {path: manager + "/system.slice/mysqld.service", unit: "user@1000.service"},
		"another session":          {path: manager + "/session-1.scope", unit: "user@1000.service"},
		"another manager":          {path: manager + "/user@0.service/init.scope", unit: "user@1000.service"},
		"docker":                   {path: manager + "/docker-" + containerA + ".scope", unit: "user@1000.service"},
		"docker, cgroupfs":         {path: manager + "/docker/" + containerA, unit: "user@1000.service"},
		"podman, split":            {path: manager + "/libpod-payload-" + containerA, unit: "user@1000.service"},
		"kubepods":                 {path: manager + "/kubepods/burstable/pod" + podA + "/" + containerA, unit: "user@1000.service"},
		"kubepods.slice":           {path: manager + "/kubepods.slice/" + pod + "/cri-containerd-" + containerA + ".scope", unit: "user@1000.service"},
		"the name with colons":     {path: manager + "/" + pod + ":cri-containerd:" + containerA, unit: "user@1000.service"},
		"lxc":                      {path: manager + "/lxc/web", unit: "user@1000.service"},
		"lxc.payload":              {path: manager + "/lxc.payload.web/system.slice/cron.service", unit: "user@1000.service"},
		"the manager, from inside": {path: "/user@1000.service/libpod-payload-" + containerA, unit: "user@1000.service"},
		// Elsewhere below user.slice, or below user of pam_cgfs.
		"docker in a session":      {path: session + "/docker-" + containerA + ".scope", unit: "session-3.scope"},
		"a service in a session":   {path: session + "/mysqld.service", unit: "session-3.scope"},
		"podman in a session":      {path: session + "/libpod-payload-" + containerA, unit: "session-3.scope"},
		"docker in a user's slice": {path: "/user.slice/user-1000.slice/docker-" + containerA + ".scope", unit: "docker-" + containerA + ".scope"},
		"user's runtime folder":    {path: "/user.slice/user-1000.slice/user-runtime-dir@1000.service", unit: "user-runtime-dir@1000.service"},
		"pam_cgfs":                 {path: "/user/alice/0/docker/" + containerA},
		"lxc of pam_cgfs":          {path: "/user/alice/0/lxc/web"},
		// Below a service that was delegated its group (systemd.resource-control(5), Delegate=).
		"a service in a service":      {path: "/system.slice/web.service/mysqld.service", unit: "web.service"},
		"a scope in a service":        {path: "/system.slice/web.service/x/init.scope", unit: "web.service"},
		"docker in a service":         {path: "/system.slice/web.service/docker-" + containerA + ".scope", unit: "web.service"},
		"docker, fs, in a service":    {path: "/system.slice/web.service/docker/" + containerA, unit: "web.service"},
		"podman deep in a service":    {path: "/system.slice/web.service/x/libpod-payload-" + containerA, unit: "web.service"},
		"kubepods in a service":       {path: "/system.slice/web.service/kubepods/pod" + podA + "/" + containerA, unit: "web.service"},
		"lxc in a service":            {path: "/system.slice/web.service/lxc/web", unit: "web.service"},
		"docker in nspawn":            {path: "/machine.slice/systemd-nspawn@web.service/payload/docker/" + containerA, unit: "systemd-nspawn@web.service"},
		"below init":                  {path: "/init.scope/docker-" + containerA + ".scope", unit: "init.scope"},
		"a unit with an escaped name": {path: "/system.slice/_cpu.service/libpod-payload-" + containerA, unit: "cpu.service"},
		// Below a container.
		"another container":       {path: "/docker/" + containerA + "/docker-" + containerB + ".scope", container: containerA},
		"a pod in docker":         {path: "/docker/" + containerA + "/kubepods/pod" + podA + "/" + containerB, container: containerA},
		"another pod":             {path: "/kubepods/pod" + mirrorPod + "/" + containerA + "/kubepods/pod" + podA, container: containerA, pod: mirrorPod},
		"a service in docker":     {path: "/system.slice/docker-" + containerA + ".scope/system.slice/mysqld.service", container: containerA, unit: "docker-" + containerA + ".scope"},
		"lxc in docker":           {path: "/system.slice/docker-" + containerA + ".scope/lxc/web", container: containerA, unit: "docker-" + containerA + ".scope"},
		"podman in podman":        {path: "/machine.slice/libpod-" + containerA + ".scope/container/libpod-payload-" + containerB, container: containerA, unit: "libpod-" + containerA + ".scope"},
		"a container in a pod's":  {path: "/kubepods.slice/kubepods-" + podASlice + "/cri-containerd-" + containerA + ".scope/" + containerB, container: containerA, pod: podA, unit: "cri-containerd-" + containerA + ".scope"},
		"a person in a container": {path: "/docker/" + containerA + "/user.slice/user-1000.slice/session-3.scope", container: containerA},
		"a container called lxc":  {path: "/lxc/lxc/lxc/other", container: "lxc"},
		"a pod within another":    {path: "/kubepods/pod" + mirrorPod + "/pod" + podA + "/" + containerA, container: containerA, pod: mirrorPod},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			container, pod, unit := ParseCgroup(test.path)
			assert.Equal(t, test.container, container, "container")
			assert.Equal(t, test.pod, pod, "pod")
			assert.Equal(t, test.unit, unit, "unit")
		})
	}
}

func FuzzParseCgroup(f *testing.F) {
	f.Add("/kubepods.slice/kubepods-" + podASlice + "/cri-containerd-" + containerA + ".scope")
	f.Add("/docker/" + containerA + "/docker/" + containerB)
	f.Add("/lxc.payload.web/_cpu.service")
	f.Fuzz(func(t *testing.T, path string) {
		container, pod, unit := ParseCgroup(path)
		assert.Contains(t, path, container)
		assert.Contains(t, strings.ReplaceAll(path, "_", "-"), pod)
		assert.Contains(t, path, unit)
		if pod != "" {
			assert.True(t, isPodUID(pod), pod)
		}
	})
}
