// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// resolveCached is RESOLVE_CACHED of include/uapi/linux/openat2.h.
const resolveCached = 0x20

// vantageFor is how long the host's own files are considered unchanged. useradd(8) replaces /etc/passwd.
const vantageFor = time.Second

// seen is what statx(2) says about a file.
type seen struct {
	version
	// mount is the mount that it was found on, which no two mount namespaces have in common; 0 before
	// Linux 5.8. Since 6.8, no later mount has the same number.
	mount uint64
	mode  uint16
}

// statOf asks for a file without making a file system ask somebody else (AT_STATX_DONT_SYNC): the file may be
// on one of a user's.
func statOf(dir int, path string, flags int) (seen, error) {
	var x unix.Statx_t
	const mounts = unix.STATX_MNT_ID | unix.STATX_MNT_ID_UNIQUE
	const mask = unix.STATX_TYPE | unix.STATX_MODE | unix.STATX_INO | unix.STATX_SIZE | unix.STATX_MTIME | unix.STATX_CTIME | mounts
	if err := unix.Statx(dir, path, flags|unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, mask, &x); err != nil {
		return seen{}, err
	}
	s := seen{mode: x.Mode}
	s.dev, s.ino, s.size = unix.Mkdev(x.Dev_major, x.Dev_minor), x.Ino, int64(x.Size)
	s.modified = time.Duration(x.Mtime.Sec)*time.Second + time.Duration(x.Mtime.Nsec)
	s.status = time.Duration(x.Ctime.Sec)*time.Second + time.Duration(x.Ctime.Nsec)
	if x.Mask&mounts != 0 {
		s.mount = x.Mnt_id
	}
	return s, nil
}

// openat2 is the call of this name, or what a test has in its place.
type openat2 func(dir int, path string, how *unix.OpenHow) (int, error)

// find finds a file below a root, without opening it: that would wait for a FIFO's writer, or rewind a tape. Before Linux 5.6 there is no
// openat2(2), before 5.12 no RESOLVE_CACHED, and RestrictSUIDSGID= (systemd.exec(5)) forbids it because no filter sees its flags.
// Then no link is followed, and nothing is looked up in a folder that may not be entered.
func (call openat2) find(root int, path string, resolve uint64, enter func(*seen) bool) (fd int, file seen, err error) {
	fd, err = call(root, path, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | resolve,
	})
	switch {
	case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM), errors.Is(err, unix.EINVAL):
		return walk(root, path, enter)
	case err != nil:
		return -1, seen{}, err
	}
	if file, err = statOf(fd, "", unix.AT_EMPTY_PATH); err != nil {
		_ = unix.Close(fd)
	}
	return fd, file, err
}

// walk does what find does, one part of the path after the other. Without links and "..", none leads out of the root.
func walk(root int, path string, enter func(*seen) bool) (fd int, file seen, err error) {
	if fd, err = unix.FcntlInt(uintptr(root), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		return -1, seen{}, err
	}
	file, err = statOf(fd, "", unix.AT_EMPTY_PATH)
	for part := range strings.FieldsFuncSeq(filepath.Clean("/"+path), func(r rune) bool { return r == '/' }) {
		if err == nil && !enter(&file) {
			err = unix.EAGAIN // as with RESOLVE_CACHED
		}
		if err != nil {
			break
		}
		var next int
		if next, err = unix.Openat(fd, part, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err != nil {
			break
		}
		_ = unix.Close(fd)
		fd = next
		if file, err = statOf(fd, "", unix.AT_EMPTY_PATH); err == nil && file.mode&unix.S_IFMT == unix.S_IFLNK {
			err = unix.ELOOP
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, seen{}, err
	}
	return fd, file, nil
}

// vantage is the host's view of its files: that of its init, or of whoever reads them for it.
type vantage struct {
	root    string
	at      time.Duration
	openat2 openat2
	// path is the host's root, folder what it is, users its /etc/passwd.
	path   string
	folder seen
	users  fileID
}

func newVantage(root string) vantage {
	return vantage{root: filepath.Join("/", root), at: -vantageFor, openat2: unix.Openat2}
}

func (v *vantage) refresh(p *proc, now time.Duration) {
	if now < v.at+vantageFor {
		return
	}
	v.at = now
	v.path = p.path + "/1/root"
	folder, err := statOf(unix.AT_FDCWD, v.path, 0)
	if err != nil { // no right to look at it
		v.path = v.root
		folder, err = statOf(unix.AT_FDCWD, v.path, 0)
	}
	if err != nil {
		return
	}
	v.folder = folder
	users, _ := statOf(unix.AT_FDCWD, filepath.Join(v.path, "etc/passwd"), 0) // a host without one names nobody
	v.users = users.fileID
}

// namespaceOf returns the inode number of a namespace, from a link such as mnt:[4026531841]
// (namespaces(7)); 0 if it is not known.
func namespaceOf(dir int, link string) uint32 {
	var buffer [64]byte
	n, err := unix.Readlinkat(dir, link, buffer[:])
	if err != nil {
		return 0
	}
	_, number, _ := strings.Cut(strings.TrimSuffix(string(buffer[:n]), "]"), "[")
	inode, _ := strconv.ParseUint(number, 10, 32)
	return uint32(inode)
}

// look finds out whose files a process sees, and reports whether it is still there. The process is
// the host's if it sees the host's root on the host's mount. Otherwise its files are compared with
// the host's: a service has a mount namespace of its own for a /tmp of its own (systemd.exec(5), PrivateTmp=).
func (h *homes) look(p *proc, dir folder, executable string, now, age time.Duration) (home, bool) {
	h.host.refresh(p, now)
	root, err := statOf(dir.fd, "root", 0)
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return dir.presume(), true
	case err != nil:
		return home{}, false
	case root.fileID == h.host.folder.fileID && root.mount == h.host.folder.mount && root.mount != 0:
		return home{Home: kill.Home{Users: kill.WhoseHost, Program: kill.WhoseHost}, native: true}, true
	}
	var found home
	found.Program = h.compareProgram(dir, &root, executable)
	found.Users = h.compareUsers(dir, &root, &found, now, age)
	return found, true
}

// presume decides by what everybody may see, if the right to see the files is missing (ptrace(2),
// PTRACE_MODE_READ_FSCREDS). A user without rights cannot change his mounts or his root without a user
// namespace, which his uid_map shows.
func (f folder) presume() home {
	whose := kill.WhoseHost
	if !parseIDMap(f.read("uid_map", maxFile)).initial() || f.pids() == kill.WhoseOther {
		whose = kill.WhoseOther
	}
	return home{Home: kill.Home{Users: whose, Program: whose}, presumed: true}
}

// pids returns whose pids the process names.
func (f folder) pids() kill.Whose {
	if n, err := unix.Readlinkat(f.fd, "ns/pid", f.buffer); err == nil {
		if string(f.buffer[:n]) == initialPIDNamespace {
			return kill.WhoseHost
		}
		return kill.WhoseOther
	}
	switch numbers := parseStatus(f.status(), "NSpid"); len(numbers) {
	case 0:
		return kill.WhoseUnknown
	case 1:
		return kill.WhoseHost
	}
	return kill.WhoseOther
}

// mayBecome reports whether a process of a user is root of a user namespace other than the initial one, and another user is in that.
func (f folder) mayBecome(user, other uint32) bool {
	ids := parseIDMap(f.read("uid_map", maxFile))
	root, inside := ids.inside(user)
	_, both := ids.inside(other)
	return inside && both && root == 0 && !ids.initial()
}

// compareProgram returns whose the path of a program is. It is the host's if the program lies on the mount
// of a root that is the host's, even if it was deleted since, or if the host has the same file there. The
// path is only looked up where that does not wait, as in the kernel's cache (RESOLVE_CACHED), which has the path of a running
// program: whoever chose it could let a lookup wait.
func (h *homes) compareProgram(dir folder, root *seen, executable string) kill.Whose {
	program, err := statOf(dir.fd, "exe", 0)
	if err != nil {
		return kill.WhoseUnknown
	}
	if root.fileID == h.host.folder.fileID && root.mount == program.mount && root.mount != 0 {
		return kill.WhoseHost
	}
	host, ok := h.host.cachedIn(unix.AT_FDCWD, h.host.path, executable)
	if ok && host.fileID == program.fileID {
		return kill.WhoseHost
	}
	// It may have been deleted. Then its folder decides, unless a mount has hidden what lies there.
	host, ok = h.host.cachedIn(unix.AT_FDCWD, h.host.path, filepath.Dir(executable))
	own, found := h.host.cachedIn(dir.fd, "root", filepath.Dir(executable))
	if ok && found && own.fileID == host.fileID && own.mount == program.mount && own.mount != 0 {
		return kill.WhoseHost
	}
	return kill.WhoseOther
}

// cachedIn asks for a file below a root, if the kernel has it in its cache or, where it cannot be asked for that, if no lookup waits.
func (v *vantage) cachedIn(dir int, root, path string) (seen, bool) {
	base, err := unix.Openat(dir, root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return seen{}, false
	}
	defer unix.Close(base)
	fd, file, err := v.openat2.find(base, path, unix.RESOLVE_NO_SYMLINKS|resolveCached, v.prompt)
	if err != nil {
		return seen{}, false
	}
	_ = unix.Close(fd)
	return file, true
}

// prompt reports whether a lookup in a folder does not wait for anybody: it is on a disk, or where the host's root is. Others, such as
// those of networks and of users (fuse(4)), have no disk's number, and a file or a network may be what a loop or network device is on
// (Documentation/admin-guide/devices.txt).
func (v *vantage) prompt(folder *seen) bool {
	const loop, network = 7, 43
	major := unix.Major(folder.dev)
	return folder.dev == v.folder.dev || major != 0 && major != loop && major != network
}

// compareUsers returns whose the user database of a process is, and notes how to reach it if it is
// not the host's.
func (h *homes) compareUsers(dir folder, root *seen, found *home, now, age time.Duration) kill.Whose {
	var owner unix.Stat_t
	if unix.Fstat(dir.fd, &owner) != nil {
		return kill.WhoseUnknown
	}
	id := spaceID{namespaceOf(dir.fd, "ns/mnt"), root.fileID, root.mount, owner.Uid}
	users := h.spaces.ask(id, now, age, func() reader { return usersBelow(dir, h.host.openat2, h.host.users) })
	if users == kill.WhoseOther {
		found.foreign = &foreign{id, parseIDMap(dir.read("uid_map", maxFile))}
	}
	return users
}

// usersBelow returns what reads the users of a process, even if that ends meanwhile; nil if it has ended.
func usersBelow(dir folder, call openat2, host fileID) reader {
	fd, err := unix.Openat(dir.fd, "root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	return func(last version) reading {
		defer unix.Close(fd)
		path, file, err := openUsers(fd, call, 0)
		if err != nil {
			return reading{users: withoutUsers(err)}
		}
		_ = unix.Close(path)
		if file.fileID == host && host != (fileID{}) {
			return reading{users: kill.WhoseHost}
		}
		return readUsers(fd, call, last)
	}
}

// openUsers finds /etc/passwd below a root. Links stay below the root, or are not followed.
func openUsers(root int, call openat2, resolve uint64) (fd int, file seen, err error) {
	return call.find(root, "etc/passwd", resolve, func(*seen) bool { return true }) // whoever reads users may wait
}

// readUsers reads the /etc/passwd below a root, which may be anything. Only a regular file that
// everybody may read counts, and no symbolic link is followed: it could lead to a file that this
// process may read, but not who made the link, such as /proc/1/environ. The file is opened by what was found, not
// by its name, which could be another file's by now. O_NONBLOCK does not wait for who holds a lease on it (fcntl(2)).
func readUsers(root int, call openat2, last version) reading {
	path, file, err := openUsers(root, call, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return reading{users: withoutUsers(err)}
	}
	defer unix.Close(path)
	r := reading{users: kill.WhoseOther, file: file.version}
	const everybody = 0o004
	if file.mode&unix.S_IFMT != unix.S_IFREG || file.mode&everybody == 0 || file.version == last {
		return r
	}
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(path), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return r
	}
	defer unix.Close(fd)
	r.names = parseOwnUsers(readUpTo(fd, maxSpaceFile))
	return r
}

// withoutUsers returns whose users a process sees that has no /etc/passwd that could be looked at.
func withoutUsers(err error) kill.Whose {
	for _, none := range []error{unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.EACCES, unix.EPERM, unix.EXDEV} {
		if errors.Is(err, none) {
			return kill.WhoseOther
		}
	}
	return kill.WhoseUnknown
}

// readUpTo reads the beginning of a file.
func readUpTo(fd, limit int) []byte {
	data := make([]byte, 0, limit)
	for len(data) < limit {
		n, err := unix.Read(fd, data[len(data):limit])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n <= 0 {
			break
		}
		data = data[:len(data)+n]
	}
	return data
}
