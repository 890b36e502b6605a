// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kill

// Names are what people call a container and its pod. What is not known, or told differently by two sources, is
// empty. Events share them, so they are never changed.
type Names struct {
	// Container is what the container's runtime calls it, such as "web"; of a container in a pod, for which
	// runtimes have a name of the Container Runtime Interface, that one.
	Container string
	// Image is the name of its image without tag and digest, Tag the tag.
	Image, Tag string
	// PodContainer is what the pod's specification calls it, Pod is the pod's name, Namespace the pod's
	// namespace; empty outside of Kubernetes.
	PodContainer, Pod, Namespace string
}
