// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package container

import (
	"path"
	"slices"
	"strings"
)

// The folders of the kubelet's logs. Those of containers have links to logs of pods, and are named after both; the
// names of links say all, so the logs themselves need not be there.
const (
	containerLogs = "var/log/containers"
	podLogs       = "var/log/pods"
)

// kubelet reads the names of logs: /var/log/containers/POD_NAMESPACE_CONTAINER-ID.log, and
// /var/log/pods/NAMESPACE_POD_UID (kubernetes, pkg/kubelet/kuberuntime/legacy.go, helpers.go). No name of Kubernetes
// has an underscore.
func (s *search) kubelet() {
	logs, err := s.list(containerLogs)
	s.failed(err)
	for _, log := range logs {
		if strings.HasSuffix(log, "-"+s.id+".log") {
			s.containerLog(log)
			return
		}
	}
	if s.uid == "" {
		return
	}
	for _, log := range logs { // such as of a sandbox, which has no log itself
		if s.podLog(podOf(s.link(path.Join(containerLogs, log)))) {
			return
		}
	}
	pods, err := s.list(podLogs)
	s.failed(err)
	if slices.ContainsFunc(pods, s.podLog) {
		return
	}
}

// containerLog adds what the name of a container's log tells.
func (s *search) containerLog(log string) {
	parts := strings.Split(strings.TrimSuffix(log, "-"+s.id+".log"), "_")
	if len(parts) != 3 {
		return
	}
	_, _, uid := splitPod(podOf(s.link(path.Join(containerLogs, log))))
	s.found.add(told{pod: parts[0], namespace: parts[1], podContainer: parts[2], uid: uid}, s.uid)
}

// podLog adds what the name of a pod's folder tells, if it is that of the pod.
func (s *search) podLog(name string) bool {
	namespace, pod, uid := splitPod(name)
	if uid == "" || uid != s.uid {
		return false
	}
	s.found.add(told{pod: pod, namespace: namespace, uid: uid}, s.uid)
	return true
}

// podOf returns the folder of a pod that a log is in.
func podOf(log string) string {
	below, ok := strings.CutPrefix(log, "/"+podLogs+"/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(below, "/")
	return name
}

// splitPod splits the name of a pod's folder; all are empty if it is none.
func splitPod(name string) (namespace, pod, uid string) {
	parts := strings.Split(name, "_")
	if len(parts) != 3 {
		return "", "", ""
	}
	return parts[0], parts[1], parts[2]
}
