// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditcontrol

import (
	"errors"
	"fmt"
	"testing"

	"github.com/elastic/go-libaudit/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAsk(t *testing.T) {
	t.Parallel()
	noAnswer := errors.New("no reply received")
	refused := fmt.Errorf("adding a rule: %w", unix.EPERM)
	tests := map[string]struct {
		errs  []error
		asked int
		err   error
	}{
		"at once":               {[]error{nil}, 1, nil},
		"at the third time":     {[]error{noAnswer, noAnswer, nil}, 3, nil},
		"never":                 {[]error{noAnswer, noAnswer, noAnswer}, 3, noAnswer},
		"refused":               {[]error{refused}, 1, unix.EPERM},
		"refused the next time": {[]error{noAnswer, refused}, 2, unix.EPERM},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			_, err := ask(3, func(*libaudit.AuditClient) (int, error) {
				asked++
				return 0, tt.errs[asked-1]
			})
			if errors.Is(err, unix.EPROTONOSUPPORT) {
				t.Skip("SKIPPED: this kernel has no audit system")
			}
			assert.Equal(t, tt.asked, asked)
			require.ErrorIs(t, err, tt.err)
		})
	}
}
