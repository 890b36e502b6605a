// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package filesource_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/source/filesource"
)

func TestPathOfNoUse(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		prepare func(*testing.T, string)
		want    string
	}{
		"a directory": {
			prepare: func(t *testing.T, path string) { require.NoError(t, os.Mkdir(path, 0o700)) },
			want:    "%[1]s is a directory",
		},
		"a FIFO": {
			prepare: func(t *testing.T, path string) { require.NoError(t, syscall.Mkfifo(path, 0o600)) },
			want:    "%[1]s is not a regular file (p---------)",
		},
		"a device": {
			prepare: func(t *testing.T, path string) { require.NoError(t, os.Symlink("/dev/null", path)) },
			want:    "%[1]s is not a regular file (Dc---------)",
		},
		"in a file instead of a folder": {
			prepare: func(t *testing.T, path string) {
				folder := filepath.Dir(path)
				require.NoError(t, os.Remove(folder))
				require.NoError(t, os.WriteFile(folder, nil, 0o600))
			},
			want: "stat %[1]s: not a directory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			test.prepare(t, b.path)
			require.EqualError(t, newSource(t, b.settings()).Start(t.Context()), fmt.Sprintf(test.want, b.path))
		})
	}
}

// TestForeignFilesBesideTheLog expects anything that is not a file to be skipped.
func TestForeignFilesBesideTheLog(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	require.NoError(t, syscall.Mkfifo(b.number(2), 0o600))
	require.NoError(t, os.Symlink("nothing", b.number(1)))
	b.append(t, event(1))
	start(t, b.settings()).await(1)
}

// TestTrouble replaces a log that is being followed with something that cannot be read.
func TestTrouble(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.append(t, event(1)+records(2)[0]+"\n")
	r := start(t, b.settings())
	r.await(1)
	begin := time.Now()
	b.rename(t, 5)
	require.NoError(t, os.Mkdir(b.path, 0o700))
	require.Eventually(t, func() bool { return len(b.reported()) >= 3 }, patience, look)
	for i, err := range b.reported() {
		require.ErrorContains(t, err, b.path+" is a directory")
		// One more, because the first arrives at once.
		assert.LessOrEqual(t, i, int(time.Since(begin)/time.Second)+1, "it waits in between")
	}
	require.Len(t, b.logs.FilterMessageSnippet("cannot read the log, trying again").All(), 1)
	assert.Len(t, r.sink.events(), 1, "nothing is given up while not everything was seen")

	require.NoError(t, os.Remove(b.path))
	b.append(t, records(2)[1]+"\n"+records(2)[2]+"\n")
	r.await(1, 2)
	reported := b.reported()
	require.NoError(t, reported[len(reported)-1])
	assert.Len(t, b.logs.FilterMessageSnippet("the log can be read again").All(), 1)
}

// nobodyLog names the log of the source in the test below, when that runs again as another user.
const nobodyLog = "AUDITFILE_TEST_NOBODY_LOG"

// TestNoPermission needs a user who may not read everything: as root, it runs itself again as nobody.
func TestNoPermission(t *testing.T) {
	if path, ok := os.LookupEnv(nobodyLog); ok {
		settings := newBench(t).settings()
		settings.Path = path
		fmt.Println("Start:", filesource.New(settings).Start(t.Context()))
		return
	}
	t.Parallel()
	for name, test := range map[string]struct {
		file, folder os.FileMode
		want         string
	}{
		"of the file":             {file: 0, folder: 0o755, want: "open PATH: permission denied: "},
		"to enter the folder":     {file: 0o644, folder: 0, want: "stat PATH: permission denied: "},
		"to look into the folder": {file: 0o644, folder: 0o311, want: "open FOLDER: permission denied: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// Not t.TempDir, which only its owner may enter.
			top, err := os.MkdirTemp("", "filesource") //nolint:usetesting // as said
			require.NoError(t, err)
			require.NoError(t, os.Chmod(top, 0o755))
			folder := filepath.Join(top, "audit")
			path := filepath.Join(folder, "audit.log")
			t.Cleanup(func() {
				assert.NoError(t, os.Chmod(folder, 0o700))
				assert.NoError(t, os.RemoveAll(top))
			})
			require.NoError(t, os.Mkdir(folder, 0o700))
			require.NoError(t, os.WriteFile(path, []byte(event(1)), 0o600))
			require.NoError(t, os.Chmod(path, test.file))
			require.NoError(t, os.Chmod(folder, test.folder))

			// A copy of this program, because nobody may not enter its folder.
			command := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestNoPermission$", "-test.v")
			command.Env = append(os.Environ(), nobodyLog+"="+path)
			command.Dir = "/"
			if os.Geteuid() == 0 {
				const nobody = 65534
				command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
			}
			output, err := command.CombinedOutput()
			if err != nil && !strings.Contains(string(output), "Start:") {
				t.Skipf("SKIPPED: this system does not let the test run itself as another user: %v: %s", err, output)
			}
			want := strings.NewReplacer("PATH", path, "FOLDER", folder).Replace(test.want)
			assert.Contains(t, string(output), "Start: "+want+
				"run it as root or with CAP_DAC_READ_SEARCH, or set log_group in auditd.conf to a group of its user\n")
		})
	}
}
