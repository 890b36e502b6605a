// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"path/filepath"
	"strings"
)

const (
	// maxCgroups bounds the control groups whose paths are remembered, each of some
	// 300 bytes. Those that were removed stay until there is no room.
	maxCgroups = 1 << 14
	// maxCgroupDepth bounds how deep they are looked for; a container within a
	// container in a cluster is some twelve deep.
	maxCgroupDepth = 32
)

// place is a control group and what its path tells.
type place struct{ path, container, pod, unit string }

func newPlace(path string) *place {
	p := &place{path: path}
	p.container, p.pod, p.unit = ParseCgroup(path)
	return p
}

// cgroups knows the paths of control groups by their ids.
type cgroups struct {
	// root is the host's folder of cgroup file systems.
	root string
	// mounts are the folders of those hierarchies whose ids the kernel sends.
	mounts map[int]string
	places map[CgroupID]*place
}

func newCgroups(root string) cgroups {
	return cgroups{
		root:   filepath.Join("/", root, "sys/fs/cgroup"),
		places: make(map[CgroupID]*place),
	}
}

// cgroupMounts returns the folders of the hierarchies, where systemd and all
// others mount them.
func cgroupMounts(root string, numbers map[string]int) map[int]string {
	mounts := make(map[int]string)
	for _, controller := range []string{"memory", "pids"} {
		if number, ok := numbers[controller]; ok && number > 0 {
			mounts[number] = root + "/" + controller
		}
	}
	mounts[0] = root
	if len(mounts) > 1 {
		mounts[0] = root + "/unified"
	}
	return mounts
}

func (c *cgroups) find(id CgroupID) *place { return c.places[id] }

func (c *cgroups) add(id CgroupID, path string) *place {
	if len(c.places) >= maxCgroups {
		for other := range c.places {
			delete(c.places, other) // any: what still exists is found again
			break
		}
	}
	p := newPlace(path)
	c.places[id] = p
	return p
}

// ask looks for a control group of a mounted hierarchy among those that the
// process is in, and returns nil if the process, or the group, is gone.
func (c *cgroups) ask(proc *proc, pid int, id CgroupID) *place {
	dir, ok := proc.open(pid)
	if !ok {
		return nil
	}
	defer dir.close()
	path, ok := cgroupIn(dir.cgroups(), id.Hierarchy)
	if !ok {
		return nil
	}
	// The process may have moved since the kernel told the id.
	if inode, _, ok := inodeOf(filepath.Join(c.mounts[id.Hierarchy], path)); !ok || inode != id.ID {
		return nil
	}
	return c.add(id, path)
}

// found is a control group that walk has found.
type found struct {
	id   CgroupID
	path string
}

// walkCgroups finds the control groups of a hierarchy.
func walkCgroups(hierarchy int, mount string) []found {
	var all []found
	var walk func(path string, depth int)
	walk = func(path string, depth int) {
		inode, links, ok := inodeOf(mount + path)
		if !ok || depth > maxCgroupDepth || len(all) >= maxCgroups {
			return
		}
		all = append(all, found{CgroupID{hierarchy, inode}, "/" + strings.TrimPrefix(path, "/")})
		if links == leafLinks {
			return // a folder without folders, but of a hundred files
		}
		for _, name := range foldersIn(mount + path) {
			walk(path+"/"+name, depth+1)
		}
	}
	walk("", 0)
	return all
}
