// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package container

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// maxFile is how much of a file is read: an OCI configuration has the environment and the command line of a
	// container, of which the kernel takes at most 6 MiB (execve(2)), but which are rarely more than some kilobytes.
	maxFile = 4 << 20
	// maxEntries is how many entries of a folder are looked at. A node has room for some hundred containers.
	maxEntries = 1 << 13
)

// errUntrusted is the error of a file that somebody else than root may have written.
var errUntrusted = errors.New("it does not belong to root alone")

// host is the file system of the host.
type host struct {
	// root is where it is mounted; nil is this one.
	root *os.Root
	// owner is whose files are believed.
	owner uint32
}

// openHost opens the file system that is mounted at a path, which no symbolic link in it leads out of. This process's
// own is used as it is, where such a link may well be absolute.
func openHost(path string, owner uint32) (*host, error) {
	if path == "" || filepath.Clean(path) == "/" {
		return &host{owner: owner}, nil
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &host{root: root, owner: owner}, nil
}

func (h *host) close() {
	if h.root != nil {
		_ = h.root.Close()
	}
}

// open opens a file or a folder; it never waits for the writer of a FIFO.
func (h *host) open(path string) (*os.File, error) {
	if h.root == nil {
		return os.OpenFile(filepath.Join("/", path), os.O_RDONLY|openFlags, 0)
	}
	return h.root.OpenFile(path, os.O_RDONLY|openFlags, 0)
}

// read passes the beginning of a file that root has written to a function.
func (h *host) read(path string, parse func(io.Reader) error) error {
	file, err := h.open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fs.ErrInvalid
	case !h.trusts(info):
		err = errUntrusted
	case info.Size() > maxFile:
		err = fmt.Errorf("it has more than %d bytes", maxFile)
	default:
		err = parse(io.LimitReader(file, maxFile))
	}
	if err != nil {
		return fmt.Errorf("/%s: %w", path, err)
	}
	return nil
}

// trusts reports whether only root can have written a file, or made the files in a folder.
func (h *host) trusts(info fs.FileInfo) bool {
	const others = 0o022
	return ownedBy(info, h.owner) && info.Mode().Perm()&others == 0
}

// list returns the names in a folder of root's.
func (h *host) list(path string) ([]string, error) {
	folder, err := h.open(path)
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	info, err := folder.Stat()
	if err != nil || !h.trusts(info) {
		return nil, fmt.Errorf("/%s: %w", path, cmp.Or(err, errUntrusted))
	}
	names, err := folder.Readdirnames(maxEntries)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return names, err
}

// link returns where a symbolic link leads; empty if it is none.
func (h *host) link(path string) string {
	var target string
	if h.root == nil {
		target, _ = os.Readlink(filepath.Join("/", path))
	} else {
		target, _ = h.root.Readlink(path)
	}
	return target
}
