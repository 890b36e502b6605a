// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package container

import (
	"encoding/json"
	"io"
)

// bundle is what is used of an OCI configuration (runtime-spec, config.md).
type bundle struct {
	Annotations map[string]string `json:"annotations"`
	Linux       struct {
		CgroupsPath string `json:"cgroupsPath"`
	} `json:"linux"`
}

func parseBundle(r io.Reader) (*bundle, error) {
	b := &bundle{}
	if err := json.NewDecoder(r).Decode(b); err != nil {
		return nil, err
	}
	return b, nil
}

// containerd returns what containerd tells. Its plugin for the Container Runtime Interface sets these annotations after
// those that pods may pass on (containerd, internal/cri/annotations); nerdctl has its own.
func (b *bundle) containerd() told {
	const cri = "io.kubernetes.cri."
	t := told{
		container: b.Annotations["nerdctl/name"],
		image:     b.Annotations[cri+"image-name"],
		pod:       b.Annotations[cri+"sandbox-name"],
		namespace: b.Annotations[cri+"sandbox-namespace"],
		uid:       b.Annotations[cri+"sandbox-uid"],
		cgroup:    b.Linux.CgroupsPath,
	}
	if b.Annotations[cri+"container-type"] != sandbox {
		t.podContainer = b.Annotations[cri+"container-name"]
	}
	return t
}

// sandbox is the type of the container that holds a pod's namespaces, which is none of its specification.
const sandbox = "sandbox"

// storage returns what CRI-O and Podman tell. CRI-O adds a pod's labels and annotations to its own, and Podman those of
// the image, so these are any user's to choose. CRI-O also has the kubelet's labels in one piece.
func (b *bundle) storage(uid string) told {
	labels := b.Annotations
	if text := b.Annotations["io.kubernetes.cri-o.Labels"]; text != "" {
		var own map[string]string
		if json.Unmarshal([]byte(text), &own) == nil {
			labels = own
		}
	}
	t := told{
		podContainer: labels[labelContainer], pod: labels[labelPod], namespace: labels[labelNamespace], uid: labels[labelUID],
	}
	for key, value := range map[string]string{
		labelContainer: t.podContainer, labelPod: t.pod, labelNamespace: t.namespace, labelUID: t.uid,
	} {
		if other := b.Annotations[key]; other != "" && other != value {
			t = told{} // somebody has chosen one of them
		}
	}
	if b.Annotations["io.kubernetes.cri-o.ContainerType"] == sandbox || t.podContainer == infrastructure {
		t.podContainer = ""
	}
	if uid != "" && t.uid == uid {
		t.image = b.Annotations["io.kubernetes.cri-o.ImageName"]
	}
	t.cgroup = b.Linux.CgroupsPath
	return t.withoutPod(uid)
}

// The labels that the kubelet gives containers (k8s.io/kubelet/pkg/types/labels.go).
const (
	labelContainer = "io.kubernetes.container.name"
	labelPod       = "io.kubernetes.pod.name"
	labelNamespace = "io.kubernetes.pod.namespace"
	labelUID       = "io.kubernetes.pod.uid"
	// infrastructure is the name of a sandbox's container.
	infrastructure = "POD"
)
