// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/audittest"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	needRoot(t) // otherwise only the lack of rights is reported
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		audittest.Skip(t, "this kernel has no type information, and only that is reported: %v", err)
	}
	for name, tt := range map[string]struct {
		err  error
		says string
	}{
		"refused":                           {unix.EPERM, "seccomp"},
		"refused, so":                       {unix.EACCES, "seccomp"},
		"no bpf":                            {unix.ENOSYS, "CONFIG_BPF_SYSCALL"},
		"an old kernel":                     {ebpf.ErrNotSupported, "Linux 5.15"},
		"the verifier":                      {&ebpf.VerifierError{Cause: unix.EACCES}, "Linux 5.15"},
		"something else":                    {unix.ENOMEM, ""},
		"a profile that looks like a limit": {fmt.Errorf("%w: %w", errMemlock, unix.EPERM), "seccomp"},
		"as deep as it is":                  {fmt.Errorf("loading: %w", unix.EPERM), "seccomp"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := explain(tt.err)
			require.ErrorIs(t, err, tt.err)
			assert.Contains(t, err.Error(), tt.says)
			assert.Equal(t, tt.says == "", errors.Is(tt.err, err), "nothing is added to what is not understood")
		})
	}
}

func TestLockdown(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"[none] integrity confidentiality\n": "none",
		"none [integrity] confidentiality\n": "integrity",
		"none integrity [confidentiality]\n": "confidentiality",
		"":                                   "",
		"none integrity confidentiality\n":   "",
	} {
		path := filepath.Join(t.TempDir(), "lockdown")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		assert.Equal(t, want, readLockdown(path), text)
	}
	assert.Empty(t, readLockdown("/nowhere"), "a kernel without lockdown")
	needRoot(t)
	require.ErrorContains(t, refused("confidentiality", unix.EPERM), "lockdown=integrity")
	noHelper := &ebpf.VerifierError{Cause: unix.EINVAL}
	require.ErrorContains(t, explainUnder("confidentiality", noHelper), "lockdown=integrity")
	require.ErrorContains(t, explainUnder("integrity", noHelper), "Linux 5.15")
	assert.NotContains(t, refused("integrity", unix.EPERM).Error(), "lockdown", "which forbids no more than writing")
}

func TestPlain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		names []string
		want  bool
	}{
		"none":           {nil, false},
		"names":          {[]string{"mysqld", "postgres"}, true},
		"spaces":         {[]string{"a b", "größe"}, true},
		"a glob":         {[]string{"mysqld", "post*"}, false},
		"any character":  {[]string{"m?sqld"}, false},
		"one of several": {[]string{"[mM]ysqld"}, false},
		"a path":         {[]string{"/usr/sbin/mysqld"}, false},
		"an escape":      {[]string{`mysql\d`}, false},
	} {
		assert.Equal(t, tt.want, plain(tt.names), name)
	}
}
