// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package deploy

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/collector"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
)

// The packages, and the service that they install. The tests need no systemd: this program does
// its part, see unit_linux_test.go.

const (
	packageName   = "otelcol-auditkill"
	packagedUnit  = "/usr/lib/systemd/system/otelcol-auditkill.service"
	packageConfig = "/etc/otelcol-auditkill/config.yaml"
	packageKeys   = "/etc/otelcol-auditkill/tls"
	packageState  = "/var/lib/otelcol-auditkill"
	packageShare  = "/usr/share/otelcol-auditkill"
	unitEnabled   = "/etc/systemd/system/multi-user.target.wants/otelcol-auditkill.service"
)

// makePackages builds the packages with a version, and returns their paths.
func makePackages(t *testing.T, version string) (deb, rpm string) {
	t.Helper()
	directory := t.TempDir()
	shell(t, "make", "-C", harness.Path(), "packages", "VERSION="+version, "PACKAGES="+directory)
	only := func(pattern string) string {
		paths, err := filepath.Glob(filepath.Join(directory, pattern))
		require.NoError(t, err)
		require.Len(t, paths, 1, pattern)
		return paths[0]
	}
	return only("*.deb"), only("*.rpm")
}

// shell runs a program, and returns its output.
func shell(t *testing.T, name string, arguments ...string) string {
	t.Helper()
	said, err := exec.Command(name, arguments...).CombinedOutput()
	require.NoError(t, err, "%s %s: %s", name, strings.Join(arguments, " "), said)
	return string(said)
}

// needDpkg skips the test if it cannot install a package, or would replace files on this machine.
func needDpkg(t *testing.T) {
	t.Helper()
	harness.NeedRoot(t)
	if _, err := exec.LookPath("dpkg"); err != nil {
		harness.Missing(t, fmt.Sprintf("dpkg is missing, so this test cannot install a .deb: %v", err))
	}
	if os.Getenv("CI") == "true" { // a test that was killed may have left the package, which is not needed there
		_ = exec.CommandContext(t.Context(), "dpkg", "--purge", packageName).Run()
		_ = os.RemoveAll(packageKeys) // they do not belong to the package
		_ = os.Remove(filepath.Dir(packageConfig))
	}
	_ = os.Remove(packageState) // fails unless it is empty
	for _, path := range []string{packagedUnit, filepath.Dir(packageConfig), packageState, packageShare} {
		if _, err := os.Lstat(path); err == nil {
			harness.Missing(t, path+" exists already, and the test would remove it")
		}
	}
	if _, err := user.Lookup(packageName); err == nil {
		harness.Missing(t, "the user "+packageName+" exists already, and the test would remove it")
	}
}

// install installs a package, and purges it when the test ends.
func install(t *testing.T, deb string) {
	t.Helper()
	t.Cleanup(func() {
		shell(t, "dpkg", "--purge", packageName)
		for _, path := range []string{packagedUnit, filepath.Dir(packageConfig), packageState, packageShare, unitEnabled} {
			assert.NoFileExists(t, path, "after dpkg --purge")
			assert.NoDirExists(t, path, "after dpkg --purge")
		}
		_, err := user.Lookup(packageName)
		assert.ErrorAs(t, err, new(user.UnknownUserError), "after dpkg --purge")
	})
	shell(t, "dpkg", "--install", deb)
	if _, err := os.Stat("/run/systemd/system"); err == nil { // systemd runs and has started the service
		shell(t, "systemctl", "stop", packageName)
		require.NoError(t, os.RemoveAll(packageState))
	}
}

// modes are the modes, owners and groups of installed files.
var modes = map[string]string{
	"/usr/bin/otelcol-auditkill":         "-rwxr-xr-x root:root",
	"/usr/bin/auditkill":                 "-rwxr-xr-x root:root",
	packagedUnit:                         "-rw-r--r-- root:root",
	"/etc/otelcol-auditkill":             "drwxr-xr-x root:root",
	packageConfig:                        "-rw-r--r-- root:root",
	"/etc/otelcol-auditkill/environment": "-rw-r----- root:otelcol-auditkill",
	packageShare + "/audit_kill.rules":   "-rw-r--r-- root:root",
	packageShare + "/configs/agent.yaml": "-rw-r--r-- root:root",
	packageShare + "/systemd/file.conf":  "-rw-r--r-- root:root",

	packageShare + "/systemd/behind.conf":  "-rw-r--r-- root:root",
	packageShare + "/systemd/kmsg.conf":    "-rw-r--r-- root:root",
	packageShare + "/systemd/names.conf":   "-rw-r--r-- root:root",
	packageShare + "/systemd/gateway.conf": "-rw-r--r-- root:root",
}

// An upgrade and a removal keep changed configuration files, and replace or remove everything else.
func TestInstallsUpgradesAndRemoves(t *testing.T) {
	needDpkg(t)
	const ours = "\n# ours\n"
	first, _ := makePackages(t, "0.1.0")
	second, _ := makePackages(t, "0.2.0")
	rules, err := filepath.Glob("/etc/audit/rules.d/*")
	require.NoError(t, err)
	install(t, first)

	for path, want := range modes {
		assert.Equal(t, want, strings.TrimSpace(shell(t, "stat", "--format=%A %U:%G", path)), path)
	}
	owner, err := user.Lookup(packageName)
	require.NoError(t, err)
	assert.Less(t, harness.Number(owner.Uid), 1000, "a system user")
	assert.Contains(t, shell(t, "getent", "passwd", packageName), ":/usr/sbin/nologin\n")
	after, err := filepath.Glob("/etc/audit/rules.d/*")
	require.NoError(t, err)
	assert.Equal(t, rules, after, "the package adds no audit rules")
	if helper, _ := exec.LookPath("deb-systemd-helper"); helper != "" {
		assert.Equal(t, packagedUnit, strings.TrimSpace(shell(t, "readlink", "--canonicalize", unitEnabled)))
	}
	shell(t, "/usr/bin/otelcol-auditkill", "validate", "--config", packageConfig)

	appendTo(t, packageConfig, ours)
	shell(t, "dpkg", "--install", second)
	assert.Contains(t, shell(t, "dpkg-query", "--show", packageName), "0.2.0")
	assert.True(t, strings.HasSuffix(read(t, packageConfig), ours), "the upgrade keeps changes")

	shell(t, "dpkg", "--remove", packageName)
	assert.NoFileExists(t, "/usr/bin/otelcol-auditkill")
	assert.True(t, strings.HasSuffix(read(t, packageConfig), ours), "so does the removal")
	_, err = user.Lookup(packageName)
	require.NoError(t, err, "the user stays, because its files do")
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(read(t, path)+text), 0))
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(text)
}

// The service reports a kill, with everything that its source can know. It runs with the command line, user,
// capabilities, file system and system calls of its unit, and no others.
func TestServiceSeesAKill(t *testing.T) {
	needDpkg(t)
	deb, _ := makePackages(t, "0.1.0")
	run := func(name string, source deployedSource, more ...string) {
		t.Run(name, func(t *testing.T) {
			install(t, deb)
			// The victim starts before the service, which can find its program only in /proc.
			victim := newVictim(t)
			binds := source.prepare(t, packageShare+"/audit_kill.rules")
			paths := []string{packagedUnit}
			if source.dropIn {
				paths = append(paths, filepath.Join(packageShare, "systemd", source.name+".conf"))
			}
			for _, dropIn := range more {
				paths = append(paths, filepath.Join(packageShare, "systemd", dropIn))
			}
			service := readUnit(t, paths...).service(t, binds...)
			service.Says(source.chosen)
			source.assertSees(t, service, victim)
			entries, err := os.ReadDir(packageState)
			require.NoError(t, err)
			assert.NotEmpty(t, entries, "it has written its state")
			service.Stop()
		})
	}
	for _, source := range deployedSources {
		run(source.name, source)
		if source.tellsEnd { // it is live
			run(source.name+" and behind", source, "behind.conf")
		}
	}
}

// deployedSource is a source as it is deployed.
type deployedSource struct {
	name   string
	dropIn bool
	// chosen is what the receiver logs when it has chosen this source itself.
	chosen string
	// source is the value of kill.source.
	source string
	// tellsEnd is true if the source reports how the target ended, tellsPrograms if it
	// reports the program of a target that started before the collector.
	tellsEnd, tellsPrograms bool
	// logGroup is the group that may read auditd's log; only root if it is empty.
	logGroup string
}

var deployedSources = []deployedSource{
	{
		name: "ebpf", chosen: "tracing signals in the kernel because no source is configured and eBPF is possible",
		source: "ebpf", tellsEnd: true, tellsPrograms: true,
	},
	{
		name: "netlink", dropIn: true,
		chosen: "listening to the kernel because no source is configured and eBPF is not possible",
		source: "audit_unicast", tellsEnd: true, tellsPrograms: true,
	},
	{
		name: "file", dropIn: true,
		chosen: "reading the audit log because no source is configured and the kernel is out of reach",
		source: "audit_file",
	},
}

// prepare takes the audit system if the source needs it, and returns the mount with which the
// service sees auditd's log.
func (s deployedSource) prepare(t *testing.T, rules string) []bind {
	t.Helper()
	if s.name == "ebpf" {
		harness.NeedRoot(t)
		return nil
	}
	audit.Use(t)
	if s.name == "netlink" {
		return nil
	}
	if _, err := os.Stat("/var/log/audit"); err != nil {
		harness.Missing(t, fmt.Sprintf("there is no folder to mount auditd's log on: %v", err))
	}
	daemon := audit.NewDaemon(t, "log_format = RAW\nlog_group = "+cmp.Or(s.logGroup, "root"))
	daemon.Run()
	audit.LoadRules(t, rules)
	return []bind{{filepath.Dir(daemon.Log), "/var/log/audit"}}
}

// newVictim starts a process that runs as another user than the service.
func newVictim(t *testing.T) *process.Target {
	t.Helper()
	victim := process.StartTarget(t, exec.CommandContext(t.Context(), "sh", "-c", "echo; exec sleep 600"), true)
	harness.Eventually(t, func() bool { return process.CommandName(t, victim.PID) == "sleep" }, "the victim has become another program")
	return victim
}

// assertSees kills the victim, which the service must report. Once it has reported another kill, it has read which processes exist.
func (s deployedSource) assertSees(t *testing.T, service *collector.Collector, victim *process.Target) {
	t.Helper()
	kills(t, service, newVictim(t))
	killer, sent := kills(t, service, victim)
	if s.tellsEnd {
		service.Says(fmt.Sprintf("sleep[%d] was killed by SIGKILL", victim.PID))
	}
	reported := lineWith(service.Output.String(), sent)
	assert.Contains(t, reported, fmt.Sprintf("sh[%d] (", killer))
	assert.Contains(t, reported, "kill.source="+s.source)
	assert.Contains(t, reported, "kill.complete=true")
	assert.Equal(t, s.tellsPrograms, strings.Contains(reported, "kill.target.executable.path="), reported)
}

// kills kills a victim, and returns the pid of the killer and what the service says about it.
func kills(t *testing.T, service *collector.Collector, victim *process.Target) (killer int, says string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "sh", "-c", fmt.Sprintf("kill -KILL %d", victim.PID)) //nolint:gosec // a test's own
	require.NoError(t, command.Run())
	says = fmt.Sprintf("sent SIGKILL to sleep[%d]", victim.PID)
	service.Says(says)
	return command.Process.Pid, says
}

func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return line
		}
	}
	return ""
}

// The .deb is as Debian's policy asks, as far as lintian knows it.
func TestLintian(t *testing.T) {
	if _, err := exec.LookPath("lintian"); err != nil {
		harness.Missing(t, "lintian is not installed; on Debian: apt-get install lintian")
	}
	deb, _ := makePackages(t, "0.1.0")
	shell(t, "lintian", "--no-cfg", "--fail-on", "error", "--display-level", ">=error", deb)
}

// Only what differs from the .deb: modes and owners, what is kept, and the scripts.
func TestRPM(t *testing.T) {
	if _, err := exec.LookPath("rpm"); err != nil {
		harness.Missing(t, "rpm is not installed; on Debian: apt-get install rpm")
	}
	_, rpm := makePackages(t, "0.1.0")
	const format = "[%{FILENAMES} %{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILEFLAGS:fflags}\n]"
	files := shell(t, "rpm", "--query", "--package", "--queryformat", format, rpm)
	for path, want := range modes {
		line := lineWith(files, path+" ")
		assert.Contains(t, line, want)
		assert.Equal(t, strings.HasPrefix(path, "/etc/") && line[len(path)+1] == '-', strings.HasSuffix(line, " cn\n"),
			"%s is a configuration file that upgrades do not replace", path)
	}
	for _, path := range []string{companionPages + "/auditkill-report.1.gz", companionBash, companionZshOfRPM, companionFish} {
		assert.Contains(t, lineWith(files, path+" "), "-rw-r--r-- root:root")
	}
	assert.NotContains(t, files, companionZshOfDeb)
	// What is in these folders goes with the package, and so do they.
	for path := range strings.Lines(shell(t, "rpm", "--query", "--package", "--list", rpm)) {
		for folder := filepath.Dir(strings.TrimSpace(path)); strings.Contains(folder, packageName); folder = filepath.Dir(folder) {
			assert.Contains(t, lineWith(files, folder+" "), "drwxr-xr-x", "the package owns %s", folder)
		}
	}
	for _, path := range []string{
		packageShare + "/configs/audit_kill.schema.json", packageShare + "/sigma/tampering.yml", packageShare + "/sigma/fields.yaml",
		packageShare + "/sigma/correlations/many-targets.yml", packageShare + "/queries/loki/dashboard.json", packageShare + "/queries/prometheus/rules.yaml",
		"/usr/share/doc/otelcol-auditkill/docs/install.md", "/usr/share/doc/otelcol-auditkill/docs/runbooks/oom-kills.md",
	} {
		assert.Contains(t, lineWith(files, path+" "), "-rw-r--r-- root:root")
	}
	architectures := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}
	assert.Equal(t, architectures[runtime.GOARCH], shell(t, "rpm", "--query", "--package", "--queryformat", "%{ARCH}", rpm))
	scripts := shell(t, "rpm", "--query", "--package", "--scripts", rpm)
	for _, text := range []string{
		"preinstall scriptlet", "useradd --system", "systemctl --no-reload preset otelcol-auditkill.service",
		"systemctl --no-reload disable --now otelcol-auditkill.service", "systemctl try-restart otelcol-auditkill.service",
	} {
		assert.Contains(t, scripts, text)
	}
	assert.NotContains(t, scripts, "userdel", "files may still belong to the user")
	assert.NotContains(t, scripts, "deb-systemd-helper")
	t.Run("leaves nothing behind", func(t *testing.T) { assertErased(t, rpm) })
}

// assertErased installs an rpm under a folder, without its scripts, which are those of a whole system, and erases it again.
func assertErased(t *testing.T, path string) {
	t.Helper()
	harness.NeedRoot(t)
	root := t.TempDir()
	rpm := func(arguments ...string) {
		shell(t, "rpm", append([]string{"--root", root, "--dbpath", "/rpmdb", "--nodeps", "--noscripts"}, arguments...)...)
	}
	rpm("--install", path)
	assert.FileExists(t, filepath.Join(root, packagedUnit))
	rpm("--erase", packageName)
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		if entry.Name() == "rpmdb" {
			return fs.SkipDir
		}
		assert.True(t, entry.IsDir(), path)
		assert.NotContains(t, entry.Name(), "auditkill", path)
		return nil
	}))
}

// systemd understands every line of the units.
func TestUnitsAreValid(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		harness.Missing(t, "systemd-analyze is not installed; on Debian: apt-get install systemd")
	}
	for _, dropIns := range [][]string{
		nil,
		{"netlink.conf"},
		{"file.conf"},
		{"gateway.conf"},
		{"behind.conf"},
		{"netlink.conf", "behind.conf"},
		{"netlink.conf", "kmsg.conf"},
		{"names.conf"},
		{"netlink.conf", "names.conf"},
		{"file.conf", "names.conf"},
	} {
		t.Run(strings.Join(dropIns, " "), func(t *testing.T) {
			directory := t.TempDir()
			text := read(t, harness.Path("deploy/systemd/otelcol-auditkill.service"))
			// systemd-analyze needs a program that exists, and the package may not be installed.
			text = strings.ReplaceAll(text, "/usr/bin/otelcol-auditkill ", "/bin/true ")
			for _, page := range []string{"otelcol-auditkill", "auditkill"} {
				assert.Contains(t, lineWith(text, "Documentation="), "man:"+page+"(1) ", "the package has this page")
			}
			path := filepath.Join(directory, "otelcol-auditkill.service")
			require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
			require.NoError(t, os.Mkdir(path+".d", 0o755))
			for _, dropIn := range dropIns {
				text := read(t, harness.Path("deploy/systemd", dropIn))
				require.NoError(t, os.WriteFile(filepath.Join(path+".d", dropIn), []byte(text), 0o644))
			}
			command := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no", path) //nolint:gosec // a test's own
			command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			said, err := command.CombinedOutput()
			require.NoError(t, err, "%s", said)
			assert.Empty(t, string(said))
		})
	}
}
