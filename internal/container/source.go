// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package container

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
)

// search is the search for one container.
type search struct {
	*host
	// id is the container's, uid its pod's; empty if it is in none.
	id, uid string
	found   found
	// refused is why something that is there could not be read; the first reason, as all others are mostly the same.
	refused error
}

// run asks all sources.
func (s *search) run() {
	s.containerd()
	s.docker()
	s.storage()
	s.kubelet()
}

// failed notes why something could not be read, unless it is not there.
func (s *search) failed(err error) {
	if s.refused == nil && err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.refused = err
	}
}

// containerdStates are the folders where containerds keep what runs, by default and in distributions of Kubernetes and
// Docker: k3s and RKE2, k0s, MicroK8s.
func containerdStates() []string {
	return []string{
		"run/containerd", "run/k3s/containerd", "run/k0s/containerd", "var/snap/microk8s/common/run/containerd",
		"run/docker/containerd/daemon",
	}
}

// tasks is where a containerd has its containers below its state.
const tasks = "io.containerd.runtime.v2.task"

// maxNamespaces is how many namespaces of a containerd are looked at; hosts have two or three.
const maxNamespaces = 64

// containerd reads the configurations that containerd has made for its runtime:
// STATE/io.containerd.runtime.v2.task/NAMESPACE/ID/config.json.
func (s *search) containerd() {
	for _, state := range containerdStates() {
		tasks := path.Join(state, tasks)
		namespaces, err := s.list(tasks)
		if errors.Is(err, fs.ErrPermission) { // these may not be listed, but their names are known
			namespaces = []string{"default", "k8s.io", "moby"}
			s.failed(err)
		}
		for _, namespace := range namespaces[:min(len(namespaces), maxNamespaces)] {
			s.bundle(path.Join(tasks, namespace, s.id, "config.json"), (*bundle).containerd)
		}
	}
}

// bundle reads an OCI configuration, and adds what it tells.
func (s *search) bundle(name string, tell func(*bundle) told) {
	s.failed(s.read(name, func(r io.Reader) error {
		b, err := parseBundle(r)
		if err == nil {
			s.found.add(tell(b), s.uid)
		}
		return err
	}))
}

// dockerRoots returns where Docker keeps its containers: by default, as a snap, and where its configuration says so.
func (h *host) dockerRoots() []string {
	roots := []string{"var/lib/docker", "var/snap/docker/common/var-lib-docker"}
	_ = h.read("etc/docker/daemon.json", func(r io.Reader) error { // mostly there is none
		var daemon struct {
			DataRoot string `json:"data-root"`
		}
		err := json.NewDecoder(r).Decode(&daemon)
		if root := filepath.Clean(daemon.DataRoot); filepath.IsAbs(root) && !strings.HasSuffix(root, roots[0]) {
			roots = append(roots, root[1:])
		}
		return err
	})
	return roots
}

// dockerContainer is what is used of Docker's config.v2.json (moby, daemon/container).
type dockerContainer struct {
	ID, Name string
	Config   struct {
		Image  string
		Labels map[string]string
	}
}

// docker reads what Docker keeps of a container: ROOT/containers/ID/config.v2.json.
func (s *search) docker() {
	for _, root := range s.dockerRoots() {
		s.failed(s.read(path.Join(root, "containers", s.id, "config.v2.json"), func(r io.Reader) error {
			var c dockerContainer
			if err := json.NewDecoder(r).Decode(&c); err != nil {
				return err
			}
			if c.ID != s.id {
				return errors.New("it is about another container")
			}
			s.found.add(c.told(s.uid), s.uid)
			return nil
		}))
	}
}

// told returns what Docker tells. An image may come with any labels.
func (c *dockerContainer) told(uid string) told {
	labels := c.Config.Labels
	t := told{podContainer: labels[labelContainer], pod: labels[labelPod], namespace: labels[labelNamespace], uid: labels[labelUID]}
	if t.podContainer == infrastructure || labels["io.kubernetes.docker.type"] == "podsandbox" {
		t.podContainer = ""
	}
	t = t.withoutPod(uid)
	t.container, t.image = strings.TrimPrefix(c.Name, "/"), c.Config.Image
	return t
}

// storages are the folders of CRI-O and Podman, by default.
func storages() []string { return []string{"run/containers/storage", "var/lib/containers/storage"} }

// storage reads what CRI-O and Podman keep: of what runs, and of all containers
// (github.com/containers/storage). The folders are named after the file system of the images.
func (s *search) storage() {
	for _, root := range storages() {
		folders, err := s.list(root)
		s.failed(err)
		for _, folder := range folders {
			if !strings.HasSuffix(folder, "-containers") {
				continue
			}
			folder = path.Join(root, folder)
			s.bundle(path.Join(folder, s.id, "userdata/config.json"), func(b *bundle) told { return b.storage(s.uid) })
			for _, list := range []string{"containers.json", "volatile-containers.json"} {
				s.failed(s.read(path.Join(folder, list), s.stored))
			}
		}
	}
}

// storedContainer is what is used of an entry of containers.json.
type storedContainer struct {
	ID    string   `json:"id"`
	Names []string `json:"names"`
	// Metadata is JSON again: Podman's or CRI-O's.
	Metadata string `json:"metadata"`
}

// stored reads a list of containers up to the one that is searched for.
func (s *search) stored(r io.Reader) error {
	list := json.NewDecoder(r)
	if start, err := list.Token(); err != nil || start != json.Delim('[') {
		return fmt.Errorf("no list of containers: %w", errors.Join(err, fs.ErrInvalid))
	}
	for list.More() {
		var c storedContainer
		if err := list.Decode(&c); err != nil {
			return err
		}
		if c.ID == s.id {
			s.found.add(c.told(), s.uid)
			return nil
		}
	}
	return nil
}

// told returns what the list tells. CRI-O's names are made of those in the pod, which its metadata have.
func (c *storedContainer) told() told {
	var m struct {
		// Podman
		Name string `json:"name"`
		// CRI-O
		Container string `json:"metadata-name"`
		UID       string `json:"uid"`
		Namespace string `json:"namespace"`
		// both
		Image string `json:"image-name"`
	}
	if json.Unmarshal([]byte(c.Metadata), &m) != nil {
		return told{}
	}
	if m.Container != "" {
		return told{uid: m.UID}
	}
	t := told{image: m.Image}
	if len(c.Names) == 1 {
		t.container = c.Names[0]
	}
	return t
}
