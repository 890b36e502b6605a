// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"io/fs"
	"path"
)

// ErrNone is the error of a host without containers, as far as can be seen.
var ErrNone = errors.New("there are no folders of a container runtime that is known here, and no logs of pods")

// Check reports why the names of containers and pods cannot be read; nil if they can. root is where the host's root
// directory is mounted; empty for /. Of a node of Kubernetes the names of logs are enough, although they name no image.
func Check(root string) error { return check(root, 0) }

func check(root string, owner uint32) error {
	h, err := openHost(root, owner)
	if err != nil {
		return err
	}
	defer h.close()
	if logs, err := h.list(containerLogs); err == nil && len(logs) > 0 {
		return nil
	}
	all := ErrNone
	for _, folder := range h.folders() {
		switch _, err := h.list(folder); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		default:
			all = nil
		}
	}
	return all
}

// folders returns the folders of runtimes.
func (h *host) folders() []string {
	var all []string
	for _, state := range containerdStates() {
		all = append(all, path.Join(state, tasks))
	}
	for _, root := range h.dockerRoots() {
		all = append(all, path.Join(root, "containers"))
	}
	return append(all, storages()...)
}
