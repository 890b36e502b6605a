// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/auditlog"
)

// auditLog collects the facts about the audit log, and what writes it.
func (h Host) auditLog() Log {
	l := Log{Path: h.log, Free: -1, Unread: []string{}, Configured: h.setting("/etc/audit/auditd.conf", "log_file")}
	l.DaemonInstalled, l.Install = h.installed(), h.install()
	info, err := os.Stat(l.Path)
	if err == nil && info.Mode().IsRegular() {
		err = openable(l.Path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.Problem = LogMissing
	case errors.Is(err, fs.ErrPermission):
		l.Problem = LogDenied
		l.Rights = h.refuses(l.Path)
	case err != nil:
		l.Problem = LogOther
	case !info.Mode().IsRegular():
		l.Problem = LogIrregular
	default:
		l.Rights = h.rights(l.Path, info)
		l.measure(info)
	}
	if err != nil {
		l.Error = err.Error()
	}
	return l
}

func openable(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return file.Close()
}

// measure finds out how large the log is, and how far back it goes.
func (l *Log) measure(info fs.FileInfo) {
	l.Size = info.Size()
	modified := info.ModTime().UTC()
	since := modified
	var rotated []fs.FileInfo
	rotated, l.Unread = older(l.Path)
	for _, file := range rotated {
		if at := file.ModTime().UTC(); at.Before(since) {
			since = at
		}
	}
	l.Rotated = len(rotated)
	l.Modified, l.Since = second(modified), second(since)
	var disk unix.Statfs_t
	if err := unix.Statfs(l.Path, &disk); err == nil {
		l.Free = int64(disk.Bavail) * int64(disk.Bsize) //nolint:unconvert // another type on 32-bit machines
	}
}

// older returns the older files that auditkill report reads with a log, and the paths of those
// that it does not read, though they seem to belong to it.
func older(path string) (rotated []fs.FileInfo, unread []string) {
	log, err := auditlog.Open(path)
	if err != nil {
		return nil, []string{} // rotated away since
	}
	defer log.Close()
	live, err := os.Stat(path)
	target, linkErr := filepath.EvalSymlinks(path)
	if err != nil || linkErr != nil {
		return nil, []string{}
	}
	entries, _ := os.ReadDir(filepath.Dir(target)) // as Open does
	for _, entry := range entries {
		info, err := os.Stat(filepath.Join(filepath.Dir(target), entry.Name()))
		if err == nil && !os.SameFile(info, live) && log.Contains(info) {
			rotated = append(rotated, info)
		}
	}
	return rotated, append([]string{}, log.Unread()...)
}

func second(t time.Time) *time.Time {
	t = t.Truncate(time.Second)
	return &t
}

// refuses returns the rights of the file, or of the folder that denies access to it; nil if
// not known.
func (h Host) refuses(path string) *Rights {
	for {
		info, err := os.Stat(path)
		if err == nil {
			return h.rights(path, info)
		}
		parent := filepath.Dir(path)
		if parent == path {
			return nil
		}
		path = parent
	}
}

func (h Host) rights(path string, info fs.FileInfo) *Rights {
	r := &Rights{Path: path, Mode: info.Mode().String(), GroupReads: info.Mode().Perm()&0o040 != 0}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		r.Owner, r.Group = h.name("/etc/passwd", stat.Uid), h.name("/etc/group", stat.Gid)
	}
	return r
}

// name returns the name of an id in a file such as /etc/passwd, or the id if it has none.
func (h Host) name(file string, id uint32) string {
	wanted := text("%d", id)
	for line := range strings.Lines(read(h.path(file))) {
		// name:password:id:...
		if fields := strings.Split(strings.TrimSpace(line), ":"); len(fields) > 2 && fields[2] == wanted {
			return fields[0]
		}
	}
	return wanted
}

// setting returns a setting of a file such as auditd.conf: name = value.
func (h Host) setting(file, name string) string {
	for line := range strings.Lines(read(h.path(file))) {
		key, value, found := strings.Cut(line, "=")
		if found && strings.EqualFold(strings.TrimSpace(key), name) {
			return strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return ""
}

// installed reports whether auditd is installed.
func (h Host) installed() bool {
	for _, path := range []string{"/usr/sbin/auditd", "/sbin/auditd", "/usr/bin/auditd"} {
		if _, err := os.Stat(h.path(path)); err == nil {
			return true
		}
	}
	return false
}

// install returns the command that installs auditd on this distribution (os-release(5)).
func (h Host) install() string {
	like := " " + h.setting("/etc/os-release", "ID") + " " + h.setting("/etc/os-release", "ID_LIKE") + " "
	for _, known := range []struct{ id, command string }{
		{"debian", "apt-get install auditd"},
		{"ubuntu", "apt-get install auditd"},
		{"fedora", "dnf install audit"},
		{"rhel", "dnf install audit"},
		{"suse", "zypper install audit"},
		{"arch", "pacman -S audit"},
		{"alpine", "apk add audit"},
	} {
		if strings.Contains(like, " "+known.id+" ") {
			return known.command
		}
	}
	return ""
}
