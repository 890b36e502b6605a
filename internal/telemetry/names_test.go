// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/redact"
)

// in puts a process into a container with names.
func in(p *kill.Process, n kill.Names) {
	p.Instance, p.Names = &kill.Instance{Container: container, Pod: "6f2c"}, &n
}

func TestNamesOfContainers(t *testing.T) {
	t.Parallel()
	e := managedEvent(func(e *kill.Event) {
		in(&e.Sender, kill.Names{Container: "cache"})
		in(&e.Targets[0], kill.Names{
			Container: "nginx", Image: "registry.example.com:5000/shop/nginx", Tag: "1.27",
			PodContainer: "nginx", Pod: "web-5d8f7c9b6-x2x4z", Namespace: "sh\nop",
		})
	})
	got := map[string]any{}
	for name, value := range convert(testConfig(), e).Attributes().AsRaw() {
		if strings.Contains(name, "container.") || strings.Contains(name, "k8s.") {
			got[name] = value
		}
	}
	assert.Equal(t, map[string]any{
		"container.id": container, "k8s.pod.uid": "6f2c", "container.name": "cache", "kill.requester.container.id": container,
		"kill.target.container.id": container, "kill.target.k8s.pod.uid": "6f2c",
		"kill.target.container.name": "nginx", "kill.target.container.image.name": "registry.example.com:5000/shop/nginx",
		"kill.target.container.image.tags": []any{"1.27"}, "kill.target.k8s.container.name": "nginx",
		"kill.target.k8s.pod.name": "web-5d8f7c9b6-x2x4z", "kill.target.k8s.namespace.name": `sh\nop`,
	}, got)
}

func TestContainersInSentences(t *testing.T) {
	t.Parallel()
	for want, names := range map[string]kill.Names{
		"container web": {Container: "web"},
		"container nginx of pod shop/web-5d8f7c9b6-x2x4z": {
			Container: "k8s_nginx_web_shop", PodContainer: "nginx", Pod: "web-5d8f7c9b6-x2x4z", Namespace: "shop",
		},
		`container "a[1] sent SIGKILL"`: {Container: "a[1] sent SIGKILL"},
		"container 4f5e6d7c8b9a":        {Pod: "web", Namespace: "shop"},
	} {
		e := managedEvent(func(e *kill.Event) {
			e.Behind, e.Cause = alone(func(*kill.Behind) {}), kill.CauseContainerStop
			in(&e.Targets[0], names)
		})
		assert.Equal(t, "systemd[1] sent SIGTERM to mariadbd[5932]: stop of "+want, Sentence(e, &e.Targets[0], redact.Full), want)
	}
}
