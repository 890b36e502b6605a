// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

const (
	// program is the name of systemd's program.
	program = "systemd"
	// maxStatus is how much of a file in /proc is read.
	maxStatus = 1 << 14
)

var (
	errNoSystemd = errors.New("the process is no systemd")
	errForeign   = errors.New("it is not what systemd has there, or does not belong to its user")
)

// process is a systemd, and what it sees as the root of its files.
type process struct {
	pid int
	// dir is its folder in /proc. What is read there is never of another process with the same pid.
	dir int
	// start is when it was created, since boot.
	start time.Duration
	// host is true for the host's init. Its files are also below root, where the host's are mounted.
	host bool
	root string
	// inner is its pid in its own pid namespace; nested is true if that is not the host's.
	inner  int
	nested bool
	// user is its user id, innerUser the same in its own user namespace.
	user, innerUser uint32
}

// openProcess opens a process that is a systemd.
func openProcess(root string, pid int) (*process, error) {
	root = filepath.Join("/", root)
	path := filepath.Join(root, "proc", strconv.Itoa(pid))
	dir, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	p := &process{pid: pid, dir: dir, host: pid == hostPID, root: root}
	if err := p.describe(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *process) close() { _ = unix.Close(p.dir) }

func (p *process) describe() error {
	stat, ok := p.stat()
	if !ok {
		return errNoSystemd
	}
	p.start = stat.Start
	status := p.read("status")
	users := numbers(status, "Uid")
	if len(users) < 2 {
		return errNoSystemd
	}
	p.user = uint32(users[1]) // the effective one
	p.innerUser = innerID(p.read("uid_map"), p.user)
	p.inner = p.pid
	if pids := numbers(status, "NSpid"); len(pids) > 1 {
		p.inner, p.nested = pids[len(pids)-1], true
	}
	if !p.runsSystemd(stat.Command) {
		return errNoSystemd
	}
	return nil
}

// runsSystemd reports whether the process runs systemd's program. That of the first process of a system may be anywhere, but
// any user may call a program of his systemd. Without the right to see that, as with the host's init, its name decides.
func (p *process) runsSystemd(command string) bool {
	var buffer [unix.PathMax]byte
	n, err := unix.Readlinkat(p.dir, "exe", buffer[:])
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		return command == program
	}
	path := strings.TrimSuffix(string(buffer[:max(n, 0)]), " (deleted)") // by an upgrade
	return err == nil && (attribution.IsSystemd(path) || p.inner == hostPID && filepath.Base(path) == program)
}

// alive reports whether the process has not ended.
func (p *process) alive() bool {
	stat, ok := p.stat()
	return p.host || ok && !stat.Dead()
}

func (p *process) stat() (procstat.Stat, bool) { return procstat.Parse(p.read("stat")) }

// read returns the beginning of one of its files in /proc.
func (p *process) read(name string) []byte {
	fd, err := unix.Openat(p.dir, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	file := os.NewFile(uintptr(fd), name)
	defer file.Close()
	buffer := make([]byte, maxStatus)
	n, _ := file.Read(buffer)
	return buffer[:max(n, 0)]
}

// userOf returns the effective user of a process; unset if it is gone.
func (p *process) userOf(pid int) kill.ID {
	status, _ := os.ReadFile(filepath.Join(p.root, "proc", strconv.Itoa(pid), "status"))
	if users := numbers(status, "Uid"); len(users) > 1 {
		return kill.NewID(uint32(users[1]))
	}
	return kill.ID{}
}

// loginOf returns whom a process was started for, and the number of that login; unset if nobody has logged in. It returns false if the
// process is not one of the user: his has ended then, and another one has its pid.
func (p *process) loginOf(pid int, user kill.ID) (login, session kill.ID, his bool) {
	dir, err := os.OpenRoot(filepath.Join(p.root, "proc", strconv.Itoa(pid)))
	if err != nil {
		return kill.ID{}, kill.ID{}, true // it has ended
	}
	defer dir.Close()
	status, err := dir.ReadFile("status")
	if users := numbers(status, "Uid"); err == nil && !slices.Contains(users, int(user.Value)) {
		return kill.ID{}, kill.ID{}, false
	}
	loginuid, _ := dir.ReadFile("loginuid")
	sessionid, _ := dir.ReadFile("sessionid")
	login, session = idIn(loginuid), idIn(sessionid)
	if login.Known != session.Known { // it has ended in between
		return kill.ID{}, kill.ID{}, true
	}
	return login, session, true
}

// loginuid returns whom the process was started for.
func (p *process) loginuid() kill.ID {
	text, _ := os.ReadFile(filepath.Join(p.root, "proc", strconv.Itoa(p.pid), "loginuid"))
	return idIn(text)
}

// idIn returns the number in a file of a process.
func idIn(text []byte) kill.ID {
	number, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		return kill.ID{}
	}
	return kill.NewID(uint32(number))
}

// dial connects to a socket below the root of the process, which belongs to the process's user.
func (p *process) dial(path string) (net.Conn, error) {
	fd, err := p.open(path, unix.S_IFSOCK)
	if err != nil {
		return nil, fmt.Errorf("opening /%s: %w", path, err)
	}
	defer unix.Close(fd)
	socket, err := connect(fd)
	if err != nil {
		return nil, fmt.Errorf("connecting to /%s: %w", path, err)
	}
	file := os.NewFile(uintptr(socket), path)
	defer file.Close()
	if peer, err := unix.GetsockoptUcred(socket, unix.SOL_SOCKET, unix.SO_PEERCRED); err != nil || peer.Uid != p.user {
		return nil, fmt.Errorf("connecting to /%s: %w", path, errForeign)
	}
	return net.FileConn(file)
}

// connect connects to the socket that a file descriptor is about. It does not wait until there is room.
func connect(fd int) (int, error) {
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(socket, &unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(fd)}); err != nil {
		_ = unix.Close(socket)
		return -1, err
	}
	return socket, nil
}

// open finds a file below the root of the process, and returns a descriptor of it that neither reads nor writes.
func (p *process) open(path string, kind uint32) (int, error) {
	fd, err := p.find(path)
	if err != nil {
		return -1, err
	}
	var file unix.Stat_t
	if err = unix.Fstat(fd, &file); err == nil && (file.Mode&unix.S_IFMT != kind || file.Uid != p.user) {
		err = errForeign
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// find looks below what the process sees as its root. The host's files are looked for only where they are mounted for
// us: a process that may inspect the host's init could find all of them, but a container shows what it is meant to see.
func (p *process) find(path string) (int, error) {
	from, name := p.dir, "root"
	if p.host {
		from, name = unix.AT_FDCWD, p.root
	}
	root, err := unix.Openat(from, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(root)
	if p.host {
		fd, openErr := below(root, path, 0)
		if errors.Is(openErr, unix.ENOSYS) { // before Linux 5.6; nobody but root can change the host's paths
			return unix.Openat(root, path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		}
		return fd, openErr
	}
	fd, err := below(root, path, resolveCached)
	if errors.Is(err, unix.EINVAL) { // before Linux 5.12
		return below(root, path, 0)
	}
	return fd, err
}

// resolveCached is RESOLVE_CACHED of include/uapi/linux/openat2.h: a path whose parts the kernel does not know
// by heart is not looked up. Its owner could let the lookup wait, as a file system in user space can (fuse(4)).
// What systemd puts into /run is in memory.
const resolveCached = 0x20

// below finds a file below a root without following any link.
func below(root int, path string, resolve uint64) (int, error) {
	const safe = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_SYMLINKS
	return unix.Openat2(root, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: safe | resolve})
}

// numbers returns the numbers in a line of a status file (proc_pid_status(5)).
func numbers(status []byte, name string) []int {
	for line := range bytes.Lines(status) {
		key, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || string(key) != name {
			continue
		}
		var all []int
		for field := range strings.FieldsSeq(string(value)) {
			number, err := strconv.ParseUint(field, 10, 32)
			if err != nil {
				return nil
			}
			all = append(all, int(number))
		}
		return all
	}
	return nil
}

// innerID returns what a user id is in a user namespace with a uid_map (user_namespaces(7)).
func innerID(uidMap []byte, id uint32) uint32 {
	for line := range bytes.Lines(uidMap) {
		var inner, outer, count uint32
		if n, err := fmt.Sscan(string(line), &inner, &outer, &count); err == nil && n == 3 && id >= outer && id-outer < count {
			return inner + id - outer
		}
	}
	return id
}
