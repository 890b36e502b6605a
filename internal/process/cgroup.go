// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"cmp"
	"strings"
)

const (
	// containerID is the length of ids in all container runtimes that have ids.
	containerID = 64
	// podUID is the length of a pod's uid; mirrorUID is that of a static pod, whose uid is a hash
	// of its manifest.
	podUID, mirrorUID = 36, 32
	// maxUnitName is systemd's UNIT_NAME_MAX.
	maxUnitName = 255
	// unitCharacters are the characters that systemd allows (systemd.unit(5)).
	unitCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@"
)

// ParseCgroup returns the container, Kubernetes pod and systemd unit that the processes of a
// control group belong to, according to its path; each is empty if the path names none.
//
// Who owns a folder may make folders of any name in it, so the outermost counts: what is in a container
// or in a unit cannot make itself another one. A person owns what is below user.slice, the manager
// of his own units included (user@.service(5)): nothing there is a system unit but that manager or
// his session, and nothing is a container or a pod.
//
// No contract defines these paths, but each runtime has kept its own:
//
//	/docker/<id>                                              docker, cgroupfs
//	/system.slice/docker-<id>.scope                           docker, systemd
//	/kubepods/burstable/pod<uid>/<id>                         kubelet, cgroupfs
//	/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod<u_i_d>.slice/cri-containerd-<id>.scope
//	/kubepods-burstable-pod<u_i_d>.slice:cri-containerd:<id>  containerd not configured for systemd
//	.../crio-<id>.scope, .../crio-<id>                        CRI-O
//	/machine.slice/libpod-<id>.scope/container                podman, with crun
//	/libpod_parent/libpod-<id>, .../libpod-payload-<id>       podman, cgroupfs and split
//	/lxc/<name>, /lxc.payload/<name>, /lxc.payload.<name>     LXC of three ages
func ParseCgroup(path string) (container, pod, unit string) {
	var above string
	personal := isPersonal(path)
	for name := range strings.SplitSeq(path, "/") {
		if !personal {
			if uid := podIn(name); uid != "" && pod == "" {
				pod = uid
			}
			container = containerIn(name, above)
		}
		unit = unitOf(name)
		if container != "" || unit != "" {
			break
		}
		above = name
	}
	if container == "" && unit != "" && !personal && !strings.HasPrefix(unit, "user@") {
		c, p := engineChild(path, unit)
		container, pod = c, cmp.Or(pod, p)
	}
	return container, pod, unit
}

// isPersonal reports whether a control group is below those that belong to persons: user.slice of
// systemd, and user of pam_cgfs(8).
func isPersonal(path string) bool {
	return strings.HasPrefix(path, "/user.slice/") || strings.HasPrefix(path, "/user/")
}

// engineChild returns the container, and its pod, whose engine runs in a unit and has made a folder
// for it there: podman with --cgroups=split, containerd not configured for systemd.
func engineChild(path, unit string) (container, pod string) {
	_, rest, _ := strings.Cut(path, "/"+unit+"/")
	name, _, _ := strings.Cut(rest, "/")
	if strings.HasPrefix(name, "libpod-payload-") || strings.Contains(name, ":") {
		return containerIn(name, ""), podIn(name)
	}
	return "", ""
}

// containerIn returns the id of the container that one of the parts of a name is about.
func containerIn(name, above string) string {
	for part := range strings.SplitSeq(name, ":") {
		if id := containerOf(part, above); id != "" {
			return id
		}
	}
	return ""
}

// podIn returns the uid of the pod that one of the parts of a name is about.
func podIn(name string) string {
	for part := range strings.SplitSeq(name, ":") {
		if uid := podOf(part); uid != "" {
			return uid
		}
	}
	return ""
}

// containerOf returns the id of the container that the folder belongs to.
func containerOf(name, above string) string {
	if lxc, ok := strings.CutPrefix(name, "lxc.payload."); ok {
		return lxc
	}
	if above == "lxc" || above == "lxc.payload" {
		return name
	}
	name = strings.TrimSuffix(name, ".scope")
	if len(name) < containerID {
		return ""
	}
	runtime, id := name[:len(name)-containerID], name[len(name)-containerID:]
	// conmon is the process that monitors a container from outside.
	if !isHex(id) || runtime != "" && !strings.HasSuffix(runtime, "-") || strings.HasSuffix(runtime, "conmon-") {
		return ""
	}
	return id
}

// podOf returns the uid of the pod that the folder belongs to.
func podOf(name string) string {
	if slice, ok := strings.CutSuffix(name, ".slice"); ok {
		// A dash would make this slice one within another (systemd.slice(5)).
		at := strings.LastIndex(slice, "-pod")
		if at < 0 || !strings.Contains(slice[:at], "kubepods") {
			return ""
		}
		name = strings.ReplaceAll(slice[at+1:], "_", "-")
	}
	uid, ok := strings.CutPrefix(name, "pod")
	if !ok || !isPodUID(uid) {
		return ""
	}
	return uid
}

func isPodUID(uid string) bool {
	switch len(uid) {
	case mirrorUID:
		return isHex(uid)
	case podUID:
		return uid[8] == '-' && uid[13] == '-' && uid[18] == '-' && uid[23] == '-' &&
			isHex(uid[:8]+uid[9:13]+uid[14:18]+uid[19:23]+uid[24:])
	}
	return false
}

// unitOf returns the systemd unit that the folder belongs to. Slices contain units, and the other
// types hold no long-running processes.
func unitOf(name string) string {
	name = strings.TrimPrefix(name, "_") // systemd's escape for names that the kernel would misread
	stem, ok := strings.CutSuffix(name, ".service")
	if !ok {
		if stem, ok = strings.CutSuffix(name, ".scope"); !ok {
			return ""
		}
	}
	if stem == "" || len(name) > maxUnitName || strings.Trim(stem, unitCharacters) != "" {
		return ""
	}
	return name
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
