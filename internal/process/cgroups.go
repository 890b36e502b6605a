// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"path/filepath"
	"strings"
)

const (
	// maxCgroups bounds the control groups whose paths are remembered, at some 300 bytes each.
	// Removed groups stay until there is no room.
	maxCgroups = 1 << 14
	// maxCgroupDepth bounds how deep groups are searched for; a container within a container in a
	// cluster is some twelve deep.
	maxCgroupDepth = 32
)

// place is a control group and what its path shows.
type place struct{ path, container, pod, unit string }

// cgroups maps ids of control groups to their paths.
type cgroups struct {
	// root is the host's folder of cgroup file systems.
	root string
	// mounts are the folders of the hierarchies whose ids the kernel reports.
	mounts map[int]string
	places map[CgroupID]*place
	// expect is Config.Container.
	expect func(id, pod string)
}

func newCgroups(root string, expect func(id, pod string)) cgroups {
	return cgroups{
		expect: expect,
		root:   filepath.Join("/", root, "sys/fs/cgroup"),
		places: make(map[CgroupID]*place),
	}
}

// newPlace returns what a path shows, and reports its container.
func (c *cgroups) newPlace(path string) *place {
	p := &place{path: path}
	p.container, p.pod, p.unit = ParseCgroup(path)
	if p.container != "" && c.expect != nil {
		c.expect(p.container, p.pod)
	}
	return p
}

// cgroupMounts returns the folders of the hierarchies, where systemd and everything else mounts
// them.
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
			delete(c.places, other) // any one: groups that still exist are found again
			break
		}
	}
	p := c.newPlace(path)
	c.places[id] = p
	return p
}

// ask finds a control group of a mounted hierarchy among those of the process, and returns nil if
// the process has ended or has left the group.
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
	// The process may have moved since the kernel reported the id.
	if inode, _, ok := inodeOf(filepath.Join(c.mounts[id.Hierarchy], path)); !ok || inode != id.ID {
		return nil
	}
	return c.add(id, path)
}

// found is a control group that walkCgroups has found.
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
			return // a folder with a hundred files, but no folders
		}
		for _, name := range foldersIn(mount + path) {
			walk(path+"/"+name, depth+1)
		}
	}
	walk("", 0)
	return all
}
