// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// requesters are programs by which people ask managers to stop something, or send signals.
var requesters = []string{
	"systemctl", "service", "loginctl", "machinectl", "busctl", "shutdown", "reboot", "poweroff", "halt",
	"kill", "pkill", "killall", "docker", "podman", "nerdctl", "ctr", "crictl", "supervisorctl", "rc-service",
}

// folders are where programs are.
var folders = []string{"/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin", "/usr/local/sbin"}

// ForRequesters returns the rules that make the kernel record who starts one of the programs of this host by which
// managers are asked. Unlike other rules they cost next to nothing but when such a program is started: the kernel
// finds them by the file (kernel/auditsc.c, audit_filter_inodes). A rule for the path is also about scripts, for
// which exe= would be their interpreter.
func ForRequesters(key string) []Rule { return requestersFor(arches(machine()), "/", key) }

func requestersFor(arches []arch, root, key string) []Rule {
	var rules []Rule
	for _, path := range requesterPaths(root) {
		for _, a := range arches {
			rules = append(rules, Rule{arch: a, syscalls: []string{"execve", "execveat"}, program: path, key: key})
		}
	}
	return rules
}

// requesterPaths returns the files of the programs that exist. A rule for a link would never apply.
func requesterPaths(root string) []string {
	root = filepath.Clean(root)
	var paths []string
	for _, name := range requesters {
		for _, folder := range folders {
			path, err := filepath.EvalSymlinks(filepath.Join(root, folder, name))
			if err != nil || !isProgram(path) {
				continue
			}
			path = "/" + strings.TrimPrefix(strings.TrimPrefix(path, root), "/")
			if !slices.Contains(paths, path) && !strings.ContainsFunc(path, special) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// isProgram reports whether a file is a program of its own, not one that is many others as well.
func isProgram(path string) bool {
	switch filepath.Base(path) {
	case "busybox", "toybox", "coreutils", "snap":
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
