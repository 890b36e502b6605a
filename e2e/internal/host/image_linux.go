// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// recipe makes the file system of a host: Debian 12 with what people log in by, and a user alice who may do
// everything by sudo. Services may be started as often as tests like. If it changes, the next test makes a new one.
const recipe = `set -eu
debootstrap --variant=minbase --include=` +
	`systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,openssh-server,openssh-client,sudo,cron,iproute2,procps,python3-minimal,supervisor,tini ` +
	`bookworm "$1" http://deb.debian.org/debian
rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/lib/apt/lists/*
cp "$1/bin/sleep" "$1/usr/local/sbin/mysqld"
chroot "$1" /bin/sh -eu <<'END'
useradd --create-home --shell /bin/bash --uid 1000 alice
useradd --create-home --shell /bin/bash --uid 1001 bob
echo 'alice ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/alice
mkdir -m 700 -p /root/.ssh
ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
printf 'Host *\n\tStrictHostKeyChecking accept-new\n\tLogLevel ERROR\n\tBatchMode yes\n' >/root/.ssh/config
for user in alice bob; do
	install -d -m 700 -o $user -g $user /home/$user/.ssh
	install -m 600 -o $user -g $user /root/.ssh/id_ed25519.pub /home/$user/.ssh/authorized_keys
done
echo db1 >/etc/hostname
printf '127.0.0.1 localhost db1\n' >/etc/hosts
mkdir -p /etc/systemd/system.conf.d
printf '[Manager]\nDefaultStartLimitIntervalSec=0\nDefaultTimeoutStopSec=20\n' >/etc/systemd/system.conf.d/tests.conf
systemctl disable apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer e2scrub_reap.service supervisor.service
END
`

// install adds packages of Debian to that file system, in a layer of their own. None of their services starts meanwhile.
const install = `set -eu
base=$1 layer=$2
shift 2
rm -rf "$layer"
mkdir -p "$layer/upper" "$layer/work" "$layer/root"
mount -t overlay -o "lowerdir=$base,upperdir=$layer/upper,workdir=$layer/work" none "$layer/root"
printf '#!/bin/sh\nexit 101\n' >"$layer/root/usr/sbin/policy-rc.d"
chmod 755 "$layer/root/usr/sbin/policy-rc.d"
cp /etc/resolv.conf "$layer/root/etc/resolv.conf"
export DEBIAN_FRONTEND=noninteractive
chroot "$layer/root" apt-get update -qq
chroot "$layer/root" apt-get install -qq --yes --no-install-recommends -o Dpkg::Options::=--force-unsafe-io "$@"
rm -rf "$layer/root/usr/sbin/policy-rc.d" "$layer/root/var/cache/apt" "$layer/root/var/lib/apt/lists"
`

// building is held while a file system is made.
var building sync.Mutex

// image returns the paths of the layers of the file system that a host with some packages begins with, as overlay
// wants them. They are made once, and kept in _build.
func image(t *testing.T, packages []string) string {
	t.Helper()
	building.Lock()
	defer building.Unlock()
	folder, err := filepath.Abs(harness.Path("_build/host"))
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(folder, 0o755))
	lock, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	defer lock.Close() // which lets other test processes have it
	require.NoError(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))
	root := filepath.Join(folder, "root")
	if said, err := once(t, filepath.Join(folder, "recipe"), recipe, root); err != nil {
		harness.Missing(t, "debootstrap cannot make a Debian: "+err.Error()+"\n"+said)
	}
	if len(packages) == 0 {
		return root
	}
	layer := filepath.Join(folder, "with-"+strings.Join(packages, "-"))
	if said, err := once(t, layer+".recipe", recipe+install, append([]string{root, layer}, packages...)...); err != nil {
		harness.Skip(t, "Debian's packages %s cannot be had: %v\n%s", packages, err, said)
	}
	return filepath.Join(layer, "upper") + ":" + root
}

// once runs the last part of a recipe, unless the file says that it was done already.
func once(t *testing.T, done, text string, arguments ...string) (said string, err error) {
	t.Helper()
	if before, _ := os.ReadFile(done); string(before) == text {
		return "", nil
	}
	t.Log("making the file system of a host, which takes a minute or two")
	script := strings.TrimPrefix(text, recipe)
	if script == "" {
		script = recipe
		require.NoError(t, os.RemoveAll(arguments[0]))
	}
	words := append([]string{"--mount", "--propagation", "private", "/bin/sh", "-c", script, "sh"}, arguments...)
	output, err := exec.CommandContext(t.Context(), "unshare", words...).CombinedOutput() //nolint:gosec // ours
	if err != nil {
		return string(output[max(0, len(output)-2000):]), err
	}
	require.NoError(t, os.WriteFile(done, []byte(text), 0o600))
	return "", nil
}
