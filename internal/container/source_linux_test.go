// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package container

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	uid      = "6f2c1d3e-8a4b-4c5d-9e6f-0123456789ab"
	otherUID = "0d9c8b7a-0000-4000-8000-00000000000f"
	podSlice = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod6f2c1d3e_8a4b_4c5d_9e6f_0123456789ab.slice/"
	podName  = "web-5d8f7c9b6-x2x4z"
	// What Docker and Podman themselves have made.
	dockerID = "21228db301501262c6680b658d5ceeb9ac1b9159a09ba84ece7fa106422a45a9"
	podmanID = "88ffa4af23ac7541a6f470e5e1b238578d05e79578fdc0516f0967f9e1876c78"
)

func id(twoDigits string) string { return strings.Repeat(twoDigits, idLength/2) }

// hostLike returns a host with the files of a folder in testdata, which belong to whoever runs the tests.
func hostLike(t *testing.T, folder string) string {
	t.Helper()
	root := t.TempDir()
	if folder != "" {
		require.NoError(t, os.CopyFS(root, os.DirFS(filepath.Join("testdata", folder))))
	}
	seal(t, root)
	return root
}

// seal takes away what a umask has left to others.
func seal(t *testing.T, root string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		if entry.IsDir() {
			return os.Chmod(path, 0o711|0o700)
		}
		return os.Chmod(path, 0o600)
	}))
}

func write(t *testing.T, root, path, text string) {
	t.Helper()
	path = filepath.Join(root, path)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	seal(t, root)
}

func namesOn(root string) *Names {
	n := New(Config{Root: root, Owner: uint32(os.Getuid())})
	n.patience = time.Minute
	return n
}

// named returns the names that a process gets.
func named(n *Names, i kill.Instance) kill.Names {
	p := kill.Process{Instance: &i}
	n.FillProcess(&p)
	if p.Names == nil {
		return kill.Names{}
	}
	return *p.Names
}

func TestLayouts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		folder string
		in     kill.Instance
		want   kill.Names
	}{
		"Docker": {
			"docker",
			kill.Instance{Container: dockerID, Cgroup: "/docker/" + dockerID},
			kill.Names{Container: "web-docker", Image: "demo/web", Tag: "1.2"},
		},
		"Docker, elsewhere than it was put": {
			"docker", kill.Instance{Container: dockerID, Cgroup: "/mine/" + dockerID}, kill.Names{},
		},
		"Podman": {
			"podman",
			kill.Instance{Container: podmanID, Cgroup: "/libpod_parent/libpod-" + podmanID},
			kill.Names{Container: "web-podman", Image: "localhost/demo/web", Tag: "1.2"},
		},
		"Podman, forged by a service": {
			"podman",
			kill.Instance{Container: podmanID, Unit: "mine.service", Cgroup: "/system.slice/mine.service/libpod-payload-" + podmanID},
			kill.Names{},
		},
		"containerd in Kubernetes": {
			"containerd",
			kill.Instance{Container: id("c0"), Pod: uid, Cgroup: podSlice + "cri-containerd-" + id("c0") + ".scope"},
			kill.Names{
				Container: "nginx", Image: "registry.example.com:5000/shop/nginx", Tag: "1.27.1",
				PodContainer: "nginx", Pod: podName, Namespace: "shop",
			},
		},
		"the sandbox of a pod": {
			"containerd",
			kill.Instance{Container: id("50"), Pod: uid, Cgroup: podSlice + "cri-containerd-" + id("50") + ".scope"},
			kill.Names{Pod: podName, Namespace: "shop"},
		},
		"containerd, whose annotations name another pod": {
			"containerd",
			kill.Instance{Container: id("c0"), Pod: otherUID, Cgroup: podSlice + "cri-containerd-" + id("c0") + ".scope"},
			kill.Names{},
		},
		"nerdctl": {
			"containerd",
			kill.Instance{Container: id("ed"), Unit: "nerdctl-" + id("ed") + ".scope", Cgroup: "/system.slice/nerdctl-" + id("ed") + ".scope"},
			kill.Names{Container: "cache"},
		},
		"CRI-O": {
			"crio",
			kill.Instance{Container: id("0c"), Pod: uid, Cgroup: podSlice + "crio-" + id("0c") + ".scope/container"},
			kill.Names{
				Container: "nginx", Image: "quay.io/shop/nginx", Tag: "1.27", PodContainer: "nginx", Pod: podName, Namespace: "shop",
			},
		},
		"the sandbox of CRI-O": {
			"crio",
			kill.Instance{Container: id("05"), Pod: uid, Cgroup: podSlice + "crio-" + id("05") + ".scope"},
			kill.Names{Pod: podName, Namespace: "shop"},
		},
		"CRI-O, outside of a pod": {
			"crio", kill.Instance{Container: id("0c"), Cgroup: "/crio-" + id("0c")}, kill.Names{},
		},
		"Docker in Kubernetes": {
			"docker-kubernetes",
			kill.Instance{Container: id("d0"), Pod: uid, Cgroup: "/kubepods/pod" + uid + "/" + id("d0")},
			kill.Names{
				Container: "k8s_nginx_" + podName + "_shop_" + uid + "_0", PodContainer: "nginx", Pod: podName, Namespace: "shop",
			},
		},
		"Docker, with labels of an image that name a pod": {
			"docker-kubernetes",
			kill.Instance{Container: id("d0"), Cgroup: "/docker/" + id("d0")},
			kill.Names{Container: "k8s_nginx_" + podName + "_shop_" + uid + "_0"},
		},
		"a name, not an id":     {"docker", kill.Instance{Container: "../../" + dockerID}, kill.Names{}},
		"a container elsewhere": {"docker", kill.Instance{Container: id("ff"), Cgroup: "/docker/" + id("ff")}, kill.Names{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.want, named(namesOn(hostLike(t, test.folder)), test.in))
		})
	}
}

// The names of logs are enough, which everybody may read.
func TestKubelet(t *testing.T) {
	t.Parallel()
	root := hostLike(t, "")
	folder := filepath.Join(root, containerLogs)
	require.NoError(t, os.MkdirAll(folder, 0o755))
	for log, target := range map[string]string{
		podName + "_shop_nginx-" + id("c0") + ".log": "/var/log/pods/shop_" + podName + "_" + uid + "/nginx/0.log",
		"bad-name-" + id("b0") + ".log":              "/var/log/pods/a_b_c/d/0.log",
		"x_y_z-" + id("b1") + ".log":                 "/somewhere/else/a_b_" + otherUID + "/0.log",
	} {
		require.NoError(t, os.Symlink(target, filepath.Join(folder, log)))
	}
	want := kill.Names{Container: "nginx", PodContainer: "nginx", Pod: podName, Namespace: "shop"}
	n := namesOn(root)
	assert.Equal(t, want, named(n, kill.Instance{Container: id("c0"), Pod: uid}))
	assert.Equal(t, kill.Names{Pod: podName, Namespace: "shop"}, named(n, kill.Instance{Container: id("50"), Pod: uid}), "a sandbox")
	assert.Zero(t, named(n, kill.Instance{Container: id("c0"), Pod: otherUID}), "of another pod")
	assert.Zero(t, named(n, kill.Instance{Container: id("b0"), Pod: otherUID}))
	assert.Zero(t, named(n, kill.Instance{Container: id("51"), Pod: otherUID}), "a link to somewhere else")

	t.Run("pods alone", func(t *testing.T) {
		other := hostLike(t, "")
		require.NoError(t, os.MkdirAll(filepath.Join(other, podLogs, "kube-system_etcd-node1_d39b8d1b9f2c4a6e8d0f1a2b3c4d5e6f"), 0o755))
		assert.Equal(t, kill.Names{Pod: "etcd-node1", Namespace: "kube-system"},
			named(namesOn(other), kill.Instance{Container: id("c1"), Pod: "d39b8d1b9f2c4a6e8d0f1a2b3c4d5e6f"}))
	})
	t.Run("a folder of others", func(t *testing.T) {
		require.NoError(t, os.Chmod(folder, 0o777))
		assert.Zero(t, named(namesOn(root), kill.Instance{Container: id("c0"), Pod: uid}))
	})
}

// What two sources tell differently is not known, but the rest is.
func TestContradiction(t *testing.T) {
	t.Parallel()
	root := hostLike(t, "containerd")
	folder := filepath.Join(root, containerLogs)
	require.NoError(t, os.MkdirAll(folder, 0o755))
	require.NoError(t, os.Symlink("/nowhere", filepath.Join(folder, "db-0_shop_nginx-"+id("c0")+".log")))
	seal(t, root)
	assert.Equal(t, kill.Names{
		Container: "nginx", Image: "registry.example.com:5000/shop/nginx", Tag: "1.27.1", PodContainer: "nginx",
	}, named(namesOn(root), kill.Instance{Container: id("c0"), Pod: uid, Cgroup: podSlice + "cri-containerd-" + id("c0") + ".scope"}))
}

// CRI-O adds the annotations of a pod, which any user of the cluster chooses, to its own.
func TestForgedAnnotation(t *testing.T) {
	t.Parallel()
	root := hostLike(t, "crio")
	path := filepath.Join("run/containers/storage/overlay-containers", id("0c"), "userdata/config.json")
	text, err := os.ReadFile(filepath.Join(root, path))
	require.NoError(t, err)
	write(t, root, path, strings.Replace(string(text), `"io.kubernetes.pod.name": "`+podName, `"io.kubernetes.pod.name": "victim`, 1))
	assert.Zero(t, named(namesOn(root), kill.Instance{Container: id("0c"), Pod: uid, Cgroup: podSlice + "crio-" + id("0c") + ".scope"}))
}

// Only what root alone can have written counts, and only as much as such files have.
func TestUntrustedFiles(t *testing.T) {
	t.Parallel()
	in := kill.Instance{Container: dockerID, Cgroup: "/docker/" + dockerID}
	path := "var/lib/docker/containers/" + dockerID + "/config.v2.json"
	for name, spoil := range map[string]func(t *testing.T, file string){
		"others may write it": func(t *testing.T, file string) {
			t.Helper()
			require.NoError(t, os.Chmod(file, 0o666))
		},
		"too large": func(t *testing.T, file string) {
			t.Helper()
			require.NoError(t, os.Truncate(file, maxFile+1))
		},
		"cut": func(t *testing.T, file string) {
			t.Helper()
			require.NoError(t, os.Truncate(file, 100))
		},
		"a folder": func(t *testing.T, file string) {
			t.Helper()
			require.NoError(t, os.Remove(file))
			require.NoError(t, os.Mkdir(file, 0o755))
		},
		"a link out of the host": func(t *testing.T, file string) {
			t.Helper()
			outside := filepath.Join(t.TempDir(), "config.v2.json")
			require.NoError(t, os.Rename(file, outside))
			require.NoError(t, os.Symlink(outside, file))
		},
		"about another": func(t *testing.T, file string) {
			t.Helper()
			require.NoError(t, os.WriteFile(file, []byte(`{"ID":"`+id("aa")+`","Name":"/other"}`), 0o600))
		},
		"a name that is too long": func(t *testing.T, file string) {
			t.Helper()
			text := `{"ID":"` + dockerID + `","Name":"/` + strings.Repeat("x", maxName+1) + `"}`
			require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := hostLike(t, "docker")
			spoil(t, filepath.Join(root, path))
			assert.Zero(t, named(namesOn(root), in))
		})
	}
	t.Run("of another user", func(t *testing.T) {
		t.Parallel()
		n := New(Config{Root: hostLike(t, "docker"), Owner: uint32(os.Getuid()) + 1})
		assert.Zero(t, named(n, in))
	})
}

func TestDockerElsewhere(t *testing.T) {
	t.Parallel()
	root := hostLike(t, "docker")
	require.NoError(t, os.MkdirAll(filepath.Join(root, "data"), 0o755))
	require.NoError(t, os.Rename(filepath.Join(root, "var/lib/docker"), filepath.Join(root, "data/docker")))
	write(t, root, "etc/docker/daemon.json", `{"data-root": "/data/docker"}`)
	assert.Equal(t, "web-docker", named(namesOn(root), kill.Instance{Container: dockerID, Cgroup: "/docker/" + dockerID}).Container)
}

func FuzzBundle(f *testing.F) {
	for _, seed := range []string{
		`{"annotations":{"io.kubernetes.cri.container-name":"web","io.kubernetes.cri-o.Labels":"{}"},"linux":{"cgroupsPath":"a:b:c"}}`,
		`{"annotations":{"io.kubernetes.cri-o.Labels":"[1]","io.kubernetes.pod.uid":"` + uid + `"}}`, `{"linux":[]}`, `[`, ``,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := parseBundle(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, told := range []told{b.containerd(), b.storage(uid), b.storage("")} {
			var f found
			f.add(told, uid)
			if n := f.names(); n != nil {
				for _, name := range []string{n.Container, n.Image, n.Tag, n.PodContainer, n.Pod, n.Namespace} {
					assert.LessOrEqual(t, len(name), maxName)
				}
			}
			inPlace(f.cgroup.value, dockerID, &kill.Instance{Container: dockerID, Cgroup: "/docker/" + dockerID})
		}
	})
}

func FuzzStored(f *testing.F) {
	text, err := os.ReadFile("testdata/crio/var/lib/containers/storage/overlay-containers/containers.json")
	require.NoError(f, err)
	f.Add(string(text))
	f.Add(`[{"id":"","metadata":"{"}]`)
	f.Fuzz(func(_ *testing.T, text string) {
		s := &search{id: id("0c"), uid: uid}
		_ = s.stored(strings.NewReader(text)) // it must only come back
	})
}
