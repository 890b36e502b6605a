// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// userland is a shell, its tools, kill of procps, AppArmor's parser, auditd, and systemd with its bus and the daemon that kills when memory is
// short, with the libraries that they are linked with. What else their packages depend on is for their installation.
var userland = []string{
	"dash", "coreutils", "mount", "procps", "apparmor", "auditd", "systemd", "systemd-oomd", "dbus", "dbus-daemon", "dbus-system-bus-common", "util-linux",
	"libacl1", "libapparmor1", "libattr1", "libaudit1", "libauparse0", "libblkid1", "libc6", "libcap-ng0", "libcap2", "libcom-err2", "libcrypt1",
	"libdbus-1-3", "libexpat1", "libgcc-s1", "libgcrypt20", "libgmp10", "libgpg-error0", "libgssapi-krb5-2", "libip4tc2", "libk5crypto3",
	"libkeyutils1", "libkmod2", "libkrb5-3", "libkrb5support0", "liblz4-1", "liblzma5", "libmount1", "libnsl2", "libpam0g", "libpcre2-8-0",
	"libseccomp2", "libselinux1", "libsmartcols1", "libssl3", "libsystemd-shared", "libsystemd0", "libtirpc3", "libuuid1", "libwrap0", "libzstd1",
}

// debian downloads packages of another architecture than the host's, too,
// without a trace in how the host's own packages are managed.
type debian struct{ architecture, directory string }

// prepare puts the kernel and the root of the file system into the folder, if
// they are not there from last time.
func (d debian) prepare() error {
	root, packages, done := filepath.Join(d.directory, "root"), filepath.Join(d.directory, "packages"), filepath.Join(d.directory, "packages.txt")
	list := strings.Join(userland, "\n")
	if text, err := os.ReadFile(done); err == nil && string(text) == list {
		return nil
	}
	if err := errors.Join(os.RemoveAll(root), os.RemoveAll(root+".new"), os.RemoveAll(packages)); err != nil {
		return err
	}
	for _, path := range []string{"apt/lists/partial", "apt/archives/partial", "packages"} {
		if err := os.MkdirAll(filepath.Join(d.directory, path), 0o750); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(d.directory, "apt/status"), nil, 0o600); err != nil {
		return err
	}
	if _, err := d.apt("apt-get", "update"); err != nil {
		return err
	}
	kernel, err := d.kernelPackage()
	if err != nil {
		return err
	}
	if _, err := d.apt("apt-get", append([]string{"download", kernel}, userland...)...); err != nil {
		return err
	}
	if err := errors.Join(d.unpack(packages, root), os.RemoveAll(filepath.Join(d.directory, "apt")), os.RemoveAll(packages)); err != nil {
		return err
	}
	return os.WriteFile(done, []byte(list), 0o600)
}

// kernelPackage returns the package that the name without a version stands for.
func (d debian) kernelPackage() (string, error) {
	said, err := d.apt("apt-cache", "depends", "--no-recommends", "--no-suggests", "linux-image-cloud-"+d.architecture)
	if err != nil {
		return "", err
	}
	_, name, found := strings.Cut(said, "Depends: ")
	if !found {
		return "", fmt.Errorf("apt knows no kernel for %s: %s", d.architecture, said)
	}
	return strings.Fields(name)[0], nil
}

// apt runs one of apt's programs as if the architecture was the only one and no
// package was installed.
func (d debian) apt(program string, arguments ...string) (string, error) {
	state := filepath.Join(d.directory, "apt")
	options := []string{
		"-qq", "-o", "APT::Architecture=" + d.architecture, "-o", "APT::Architectures=" + d.architecture,
		"-o", "APT::Sandbox::User=root", "-o", "Dir::State=" + state, "-o", "Dir::State::status=" + state + "/status", "-o", "Dir::Cache=" + state,
	}
	command := exec.Command(program, append(options, arguments...)...) //nolint:gosec // ours
	command.Dir = filepath.Join(d.directory, "packages")
	return output(command)
}

// unpack takes the kernel's image out of its package, and all of the others.
func (d debian) unpack(packages, root string) error {
	paths, err := filepath.Glob(filepath.Join(packages, "*.deb"))
	if err != nil {
		return err
	}
	for _, path := range paths {
		script := `dpkg-deb --extract "$0" "$1"`
		into := root + ".new"
		if strings.HasPrefix(filepath.Base(path), "linux-image-") {
			script = `dpkg-deb --fsys-tarfile "$0" | tar -xO --wildcards './boot/vmlinuz-*' >"$1"`
			into = filepath.Join(d.directory, "vmlinuz")
		}
		if err := shell(script, path, into); err != nil {
			return err
		}
	}
	return os.Rename(root+".new", root)
}

// output runs a command, whose output is part of its error.
func output(command *exec.Cmd) (string, error) {
	said, err := command.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", command, err, said)
	}
	return string(said), nil
}
