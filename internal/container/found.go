// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package container

import "github.com/auditkill/auditkillreceiver/internal/kill"

// maxPath is the longest path of a control group that is believed (PATH_MAX).
const maxPath = 4096

// field is a value that several sources may tell.
type field struct {
	value string
	// torn is true once two sources have told it differently.
	torn bool
}

// add adds what another source tells; empty is nothing. What is longer than the limit is not believed.
func (f *field) add(value string, limit int) {
	switch {
	case value == "" || f.torn:
	case len(value) > limit || f.value != "" && f.value != value:
		*f = field{torn: true}
	default:
		f.value = value
	}
}

// told is what one source tells about a container.
type told struct {
	// container is the runtime's own name, image a reference to its image.
	container, image string
	// podContainer, pod, namespace and uid are Kubernetes' names, and the uid of the pod.
	podContainer, pod, namespace, uid string
	// cgroup is the cgroupsPath that the runtime was given.
	cgroup string
}

// found is what all sources tell about a container.
type found struct {
	container, image, tag, podContainer, pod, namespace, cgroup field
	// any is true if a source knows the container.
	any bool
}

// add adds what a source tells about a container of a pod, whose uid is empty if it is in none. What is about another
// pod is not believed at all.
func (f *found) add(t told, uid string) {
	if t.uid != "" && uid != "" && t.uid != uid {
		return
	}
	f.any = true
	f.container.add(t.container, maxName)
	name, tag := imageOf(t.image)
	f.image.add(name, maxName)
	f.tag.add(tag, maxTag)
	f.podContainer.add(t.podContainer, maxName)
	f.pod.add(t.pod, maxName)
	f.namespace.add(t.namespace, maxName)
	f.cgroup.add(t.cgroup, maxPath)
}

// withoutPod leaves out Kubernetes' names unless they are about this very pod: whoever has chosen them may have
// chosen any.
func (t told) withoutPod(uid string) told {
	if uid == "" || t.uid != uid {
		t.podContainer, t.pod, t.namespace, t.uid = "", "", "", ""
	}
	return t
}

// names returns what was found; nil if that is nothing.
func (f *found) names() *kill.Names {
	n := kill.Names{
		Container: f.container.value, Image: f.image.value, Tag: f.tag.value,
		PodContainer: f.podContainer.value, Pod: f.pod.value, Namespace: f.namespace.value,
	}
	if n.Container == "" && !f.container.torn {
		n.Container = n.PodContainer
	}
	if n.Image == "" {
		n.Tag = ""
	}
	if n.Pod == "" || n.Namespace == "" { // neither says anything without the other
		n.Pod, n.Namespace = "", ""
	}
	if n == (kill.Names{}) || f.cgroup.torn {
		return nil
	}
	return &n
}
