// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package container

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func instance(number int) *kill.Process {
	id := fmt.Sprintf("%064x", number)
	return &kill.Process{Instance: &kill.Instance{Container: id, Cgroup: "/docker/" + id}}
}

func called(name string) found {
	return found{any: true, container: field{value: name}}
}

// fake returns names that are read by a function.
func fake(read func(id, uid string) (found, error)) *Names {
	n := New(Config{})
	n.read = read
	return n
}

func TestNamesAreReadOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var reads atomic.Int32
		n := fake(func(string, string) (found, error) {
			return called(fmt.Sprint("web-", reads.Add(1))), nil
		})
		p := instance(1)
		n.Expect(p.Instance.Container, "")
		synctest.Wait()
		for range 100 {
			n.FillProcess(p)
		}
		assert.Equal(t, "web-1", p.Names.Container)
		time.Sleep(freshFor)
		n.FillProcess(p)
		assert.Equal(t, "web-2", p.Names.Container, "it was renamed")
	})
}

func TestNamesOfTheDead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		there := called("web")
		n := fake(func(string, string) (found, error) { return there, nil })
		p := instance(1)
		n.FillProcess(p)
		there = found{}
		time.Sleep(freshFor)
		n.FillProcess(p)
		assert.Equal(t, "web", p.Names.Container, "no other container gets its id")
	})
}

// The files of a container may come after its control group.
func TestNamesThatComeLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var there found
		reads := 0
		n := fake(func(string, string) (found, error) { reads++; return there, nil })
		p := instance(1)
		for range 10 {
			n.FillProcess(p)
		}
		assert.Nil(t, p.Names)
		assert.Equal(t, 1, reads)
		there = called("web")
		time.Sleep(2 * retryAfter)
		n.FillProcess(p)
		assert.Equal(t, "web", p.Names.Container)
	})
}

// A file system that hangs stops no event for longer than a moment.
func TestHangingFiles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		n := fake(func(string, string) (found, error) { <-hang; return called("web"), nil })
		began := time.Now()
		for i := range 3 * maxContainers {
			n.FillProcess(instance(i))
		}
		assert.Equal(t, patience, time.Since(began), "only the first event waits")
		assert.LessOrEqual(t, len(n.known), maxContainers)
		assert.LessOrEqual(t, len(n.wanted), maxContainers)
		close(hang)
		synctest.Wait()
		time.Sleep(hastyFor)
		p := instance(0)
		n.FillProcess(p)
		assert.Equal(t, "web", p.Names.Container)
	})
}

func TestNamesForgetTheOldest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reads := map[string]int{}
		n := fake(func(id, _ string) (found, error) { reads[id]++; return called("web"), nil })
		first := instance(0)
		for i := range maxContainers + 1 {
			n.FillProcess(instance(i))
			time.Sleep(time.Microsecond)
			n.FillProcess(first)
		}
		assert.LessOrEqual(t, len(n.known), maxContainers)
		assert.Equal(t, 1, reads[first.Instance.Container], "it was in use")
	})
}

// A container that was found outside of its pod is looked at again.
func TestPodIsKnownLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := fake(func(_, uid string) (found, error) { return called("in " + uid), nil })
		p := instance(1)
		n.Expect(p.Instance.Container, "")
		p.Instance.Pod = "6f2c"
		n.FillProcess(p)
		assert.Equal(t, "in 6f2c", p.Names.Container)
	})
}

// Where nothing is known, nothing is done.
func TestNothingToName(t *testing.T) {
	t.Parallel()
	n := New(Config{Logger: zap.NewNop()})
	n.FillProcess(&kill.Process{})
	(*Names)(nil).Fill(&kill.Event{})
	(*Names)(nil).Expect(strings.Repeat("a", idLength), "")
}

func TestWhyThereAreNone(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]error{"no runtime that is known": nil, "permission denied": errors.New("permission denied")} {
		core, logs := observer.New(zap.InfoLevel)
		n := New(Config{Logger: zap.New(core)})
		n.read = func(string, string) (found, error) { return found{}, refused }
		for i := range 3 {
			n.FillProcess(instance(i))
		}
		if assert.Equal(t, 1, logs.Len()) {
			assert.Contains(t, fmt.Sprint(logs.All()[0].ContextMap()["error"]), name)
		}
	}
}

func TestImageOf(t *testing.T) {
	t.Parallel()
	for reference, want := range map[string][2]string{
		"":      {},
		"nginx": {"nginx"},
		"registry.example.com:5000/shop/web:1.2@sha256:abc": {"registry.example.com:5000/shop/web", "1.2"},
		"registry.example.com:5000/shop/web":                {"registry.example.com:5000/shop/web"},
		"sha256:" + strings.Repeat("ab", 32):                {},
		strings.Repeat("ab", 32):                            {},
		"4bb46517cac3":                                      {},
		"deadbeef:1":                                        {"deadbeef", "1"},
		"x:" + strings.Repeat("1", maxTag+1):                {},
	} {
		name, tag := imageOf(reference)
		assert.Equal(t, want, [2]string{name, tag}, reference)
	}
}

func TestInPlace(t *testing.T) {
	t.Parallel()
	c := strings.Repeat("ab", 32)
	for name, test := range map[string]struct {
		wanted, actual, unit string
		want                 bool
	}{
		"cgroupfs":                       {"/kubepods/pod1/" + c, "/kubepods/pod1/" + c, "", true},
		"in a container":                 {"/kubepods/pod1/" + c, "/docker/outer/kubepods/pod1/" + c, "", true},
		"seen from a cgroup namespace":   {"/kubepods/pod1/" + c, "/../../" + c, "", true},
		"below":                          {"/kubepods/pod1/" + c, "/kubepods/pod1/" + c + "/init", "", true},
		"in another pod":                 {"/kubepods/pod1/" + c, "/kubepods/pod2/" + c, "", false},
		"systemd":                        {"a.slice:docker:" + c, "/a.slice/docker-" + c + ".scope", "", true},
		"systemd, the default slice":     {":docker:" + c, "/system.slice/docker-" + c + ".scope", "", true},
		"systemd, another slice":         {"a.slice:docker:" + c, "/b.slice/docker-" + c + ".scope", "", false},
		"systemd, another runtime":       {"a.slice:docker:" + c, "/a.slice/libpod-" + c + ".scope", "", false},
		"taken literally":                {"a.slice:cri-containerd:" + c, "/a.slice:cri-containerd:" + c, "", true},
		"taken literally, in a unit":     {"a.slice:cri-containerd:" + c, "/system.slice/containerd.service/a.slice:cri-containerd:" + c, "", true},
		"taken literally, another slice": {"a.slice:cri-containerd:" + c, "/b.slice:cri-containerd:" + c, "", false},
		"not known":                      {"", "/docker/" + c, "", true},
		"not known, in a unit":           {"", "/system.slice/mine.service/libpod-payload-" + c, "mine.service", false},
		"not known, its own unit":        {"", "/system.slice/docker-" + c + ".scope", "docker-" + c + ".scope", true},
		"no such folder":                 {"/docker/" + c, "/docker", "", false},
	} {
		assert.Equal(t, test.want, inPlace(test.wanted, c, &kill.Instance{Cgroup: test.actual, Unit: test.unit}), name)
	}
}
