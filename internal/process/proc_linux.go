// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/problem"
	"github.com/auditkill/auditkillreceiver/internal/procstat"
)

const (
	// maxFile is the size of the longest file that is read whole: /proc/stat, with 128 bytes for
	// each processor and the counters of interrupts.
	maxFile = 1 << 18
	// maxThreads is how many threads of a process are checked for their names.
	maxThreads = 256
	// leafLinks is the number of links of a folder without folders.
	leafLinks = 2
	// initialPIDNamespace is PROC_PID_INIT_INO of include/linux/proc_ns.h.
	initialPIDNamespace = "pid:[4026531836]"
)

// errOtherNamespace is why /proc may be of no use.
var errOtherNamespace = &problem.Problem{
	What:   "shows the processes of a container, while the kernel reports those of the host",
	Fix:    "run this process in the host's pid namespace",
	Advice: []problem.Advice{problem.MountRoot},
}

// proc is the host's /proc. It is not safe for concurrent use, except for pids.
type proc struct {
	path, loadavg, stat string
	fs                  procfs.FS
	// err is why it cannot be used.
	err error
	// buffer is the buffer for reading files.
	buffer []byte
	// cyclic is true if its loadavg is about the same pids as its folders.
	cyclic bool
}

func newProc(root string) *proc {
	p := &proc{path: filepath.Join("/", root, "proc"), buffer: make([]byte, maxFile)}
	p.loadavg, p.stat = p.path+"/loadavg", p.path+"/stat"
	if p.fs, p.err = procfs.NewFS(p.path); p.err != nil {
		p.err = fmt.Errorf("opening %s: %w", p.path, p.err)
		return p
	}
	// The kernel reports pids of the initial namespace. loadavg is about the reader's namespace,
	// and everything else about that of the process that mounted /proc.
	status, _ := os.ReadFile(filepath.Join(p.path, "self/status"))
	p.cyclic = len(parseStatus(status, "NSpid")) == 1
	namespace, _ := os.Readlink(filepath.Join(p.path, "self/ns/pid"))
	if p.cyclic && namespace == initialPIDNamespace || p.hasKernelThreads() {
		return p
	}
	p.err = fmt.Errorf("%s %w", p.path, errOtherNamespace)
	return p
}

// hasKernelThreads reports whether pid 2 is the parent of the kernel threads, which exist only in
// the initial pid namespace.
func (p *proc) hasKernelThreads() bool {
	dir, ok := p.open(2)
	if !ok {
		return false
	}
	defer dir.close()
	s, ok := dir.stat()
	return ok && s.Kernel
}

// processOf returns the process that a thread belongs to. Each thread also has a folder, although
// it is not listed.
func (p *proc) processOf(pid int) int {
	dir, ok := p.open(pid)
	if !ok {
		return pid
	}
	defer dir.close()
	if group := parseStatus(dir.status(), "Tgid"); len(group) > 0 {
		if process, err := strconv.Atoi(group[0]); err == nil {
			return process
		}
	}
	return pid
}

// pids returns the pids of all processes.
func (p *proc) pids() ([]int, error) {
	if p.err != nil {
		return nil, p.err
	}
	all, err := p.fs.AllProcs()
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", p.path, err)
	}
	pids := make([]int, len(all))
	for i := range all {
		pids[i] = all[i].PID
	}
	return pids, nil
}

// births returns the last pid that was given out, and how many births there have been since boot; 0 if
// that is not known. A birth between the two reads would look like one of a pid that was chosen, not given out, and
// on a busy host there are many; so they are repeated until none happened in between.
func (p *proc) births() (cursor, births int) {
	if !p.cyclic {
		return 0, 0
	}
	cursor = p.cursor()
	for range birthReads {
		births, _ = parseBirths(readInto(unix.AT_FDCWD, p.stat, p.buffer))
		now := p.cursor()
		if now == cursor {
			break
		}
		cursor = now
	}
	return cursor, births
}

// birthReads is how often births reads at most. On a host that creates processes without a pause, the number is of a moment
// before the cursor then, and never of one after it.
const birthReads = 8

// cursor returns the last pid that was given out, or 0 if that is not known.
func (p *proc) cursor() int {
	cursor, _ := parseCursor(readInto(unix.AT_FDCWD, p.loadavg, p.buffer))
	return cursor
}

// hierarchies returns the numbers of the v1 hierarchies by controller.
func (p *proc) hierarchies() map[string]int {
	data, _ := os.ReadFile(filepath.Join(p.path, "cgroups")) // absent without v1
	return parseHierarchies(data)
}

// folder is the open folder of a process. Everything read from it belongs to that process, even if
// its pid is reused meanwhile: procfs, which opens each file by its full path, cannot guarantee
// that.
type folder struct {
	fd     int
	buffer []byte
}

func (p *proc) open(pid int) (folder, bool) {
	if p.err != nil {
		return folder{}, false
	}
	fd, err := unix.Open(p.path+"/"+strconv.Itoa(pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	return folder{fd, p.buffer}, err == nil
}

// hides reports whether a process without a folder may exist nevertheless: no file descriptor is
// left to open it, or /proc is mounted with hidepid (proc(5)), in which case not even init is
// visible.
func (p *proc) hides(pid int) bool {
	if p.err != nil {
		return true
	}
	var stat unix.Stat_t
	err := unix.Stat(p.path+"/"+strconv.Itoa(pid), &stat)
	gone := errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH)
	return !gone || unix.Stat(p.path+"/1", &stat) != nil
}

func (f folder) close() { _ = unix.Close(f.fd) }

// read returns the beginning of a file, valid until the next read.
func (f folder) read(name string, limit int) []byte { return readInto(f.fd, name, f.buffer[:limit]) }

func (f folder) stat() (procstat.Stat, bool) { return procstat.Parse(f.read("stat", procstat.MaxSize)) }

// executable returns the path of the program; empty if there is none, if it has been released, or
// if this process may not see it.
func (f folder) executable() string {
	n, err := unix.Readlinkat(f.fd, "exe", f.buffer)
	if err != nil {
		return ""
	}
	return withoutDeleted(string(f.buffer[:n]))
}

func (f folder) commandLine() string {
	return trimCommandLine(string(f.read("cmdline", maxCommandLine)))
}

func (f folder) cgroups() []byte { return f.read("cgroup", maxFile) }

func (f folder) status() []byte { return f.read("status", maxFile) }

func (f folder) owner() owner {
	var o owner
	if uids := parseStatus(f.status(), "Uid"); len(uids) > 0 {
		o.user = parseID(uids[0])
	}
	o.login = parseID(string(f.read("loginuid", maxFile)))
	o.session = parseID(string(f.read("sessionid", maxFile)))
	return o
}

// hasThread reports whether one of the threads has a name.
func (f folder) hasThread(command string) bool {
	fd, err := unix.Openat(f.fd, "task", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	tasks := os.NewFile(uintptr(fd), "task")
	defer tasks.Close()
	names, _ := tasks.Readdirnames(maxThreads)
	for _, name := range names {
		data := f.read("task/"+name+"/comm", maxFile)
		if strings.TrimSuffix(string(data), "\n") == command {
			return true
		}
	}
	return false
}

// readInto reads a file up to the size of a buffer. os.ReadFile needs twice the system calls, and
// some memory. The files of a process in /proc arrive whole in the first read.
func readInto(fd int, name string, buffer []byte) []byte {
	file, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(file)
	for {
		n, err := unix.Read(file, buffer)
		if !errors.Is(err, unix.EINTR) {
			return buffer[:max(n, 0)]
		}
	}
}

// inodeOf returns the inode number and the links of a folder.
func inodeOf(path string) (inode, links uint64, ok bool) {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return 0, 0, false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return s.Ino, uint64(s.Nlink), true //nolint:unconvert // 32 bits wide on arm64
}

// foldersIn returns the names of the folders in a folder.
func foldersIn(path string) []string {
	entries, _ := os.ReadDir(path) // a group that has been removed meanwhile has none
	var names []string
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names
}
