// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/audit"
	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
	"github.com/auditkill/auditkillreceiver/e2e/internal/process"
	"github.com/auditkill/auditkillreceiver/e2e/internal/shipped"
)

const podUID = "6f2c1d3e-8a4b-4c5d-9e6f-0123456789ab"

// apiObjects is what a cluster has, by resource. The second pod is where data comes from.
var apiObjects = map[string]string{
	"pods": `{"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": [
		{"metadata": {"name": "web-5d8f7c9b6-x2x4z", "namespace": "shop", "uid": "` + podUID + `", "resourceVersion": "1",
			"labels": {"pod-template-hash": "5d8f7c9b6"}, "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d8f7c9b6", "uid": "replicas", "controller": true}]},
			"spec": {"containers": [{"name": "nginx"}]}, "status": {"podIP": "10.1.0.7"}},
		{"metadata": {"name": "agent", "namespace": "auditkill", "uid": "0d9c8b7a-0000-4000-8000-00000000000f", "resourceVersion": "1"},
			"spec": {"containers": [{"name": "agent"}]}, "status": {"podIP": "127.0.0.1"}}]}`,
}

// startAPI starts a stand-in for an API server, which lists what there is and tells of no change. It returns its host and port.
func startAPI(t *testing.T) (host, port string) {
	t.Helper()
	done := make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.URL.Query().Get("sendInitialEvents") != "":
			w.WriteHeader(http.StatusUnprocessableEntity) // as servers do that cannot list by watching
			_, _ = fmt.Fprint(w, `{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Invalid", "code": 422}`)
		case r.URL.Query().Get("watch") != "":
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-done:
			}
		case apiObjects[path.Base(r.URL.Path)] != "":
			_, _ = fmt.Fprint(w, apiObjects[path.Base(r.URL.Path)])
		default:
			_, _ = fmt.Fprint(w, `{"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []}`)
		}
	}))
	t.Cleanup(func() {
		close(done)
		server.Close()
	})
	address, err := url.Parse(server.URL)
	require.NoError(t, err)
	host, port, err = net.SplitHostPort(address.Host)
	require.NoError(t, err)
	return host, port
}

// recipe returns the configuration of the k8s_attributes processor in docs/kubernetes.md.
func recipe(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(harness.Path("docs/kubernetes.md"))
	require.NoError(t, err)
	_, text2, found := strings.Cut(string(text), "```yaml\n# k8s-attributes.yaml")
	require.True(t, found)
	config, _, found := strings.Cut(text2, "```")
	require.True(t, found)
	return "#" + config
}

// TestK8sAttributes has a gateway with the k8s_attributes processor find the pods of targets, and not that of the agent.
func TestK8sAttributes(t *testing.T) {
	audit.Use(t)
	host, port := startAPI(t)
	sink := otlp.NewSink(t, "http")
	g := shipped.StartGateway(t, "configs/gateway.yaml", map[string]string{
		"LOGS_ENDPOINT": sink.URL, "TRACES_ENDPOINT": shipped.NoTraces(t), "KUBERNETES_AUTH": "none",
		"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port,
	}, shipped.Stock(t), shipped.Overlay(t, "%s", recipe(t)))
	shipped.Start(t, "configs/agent.yaml", g.Agent, shipped.Overlay(t, "receivers: {audit_kill: {ebpf: {}}}"))

	const script = "echo; while :; do read -r line; done"
	group := process.NewCgroup(t, "/auditkill-e2e/kubepods/pod"+podUID+"/"+strings.Repeat("c0", 32))
	inPod := process.StartScript(t, "in-pod", script, true, process.InCgroup(t, group))
	outside := process.StartScript(t, "outside", script, true)
	for _, target := range []*process.Target{inPod, outside} {
		require.NoError(t, unix.Kill(target.PID, unix.SIGKILL))
	}
	recordOf := func(pid int) (found *otlp.Record) {
		harness.Eventually(t, func() bool {
			for _, r := range sink.Records() {
				if r.Event == "kill.outcome" && r.Number("kill.target.pid") == int64(pid) {
					found = &r
				}
			}
			return found != nil
		}, "the outcome of %d has arrived", pid)
		return found
	}
	otlp.AssertAttributes(t, *recordOf(inPod.PID), map[string]any{
		"kill.target.k8s.pod.uid": podUID, "kill.target.k8s.pod.name": "web-5d8f7c9b6-x2x4z",
		"kill.target.k8s.namespace.name": "shop", "kill.target.k8s.deployment.name": "web", "k8s.pod.uid": nil, "k8s.pod.name": nil,
	})
	otlp.AssertAttributes(t, *recordOf(outside.PID), map[string]any{
		"kill.target.k8s.pod.uid": nil, "kill.target.k8s.pod.name": nil, "k8s.pod.name": nil,
	})
	for _, r := range sink.Records() {
		for name := range r.Resource {
			assert.NotContains(t, name, "k8s.", "the resource is the node")
		}
	}
}
