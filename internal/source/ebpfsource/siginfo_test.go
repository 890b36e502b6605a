// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func TestCodes(t *testing.T) {
	t.Parallel()
	const trap kill.Signal = 5
	tests := map[string]struct {
		signal kill.Signal
		code   int32
		name   string
		cause  kill.Cause
	}{
		"kill":                          {kill.SIGTERM, 0, "SI_USER", kill.CauseNone},
		"the kernel":                    {kill.SIGINT, 0x80, "SI_KERNEL", kill.CauseNone},
		"tkill":                         {kill.SIGABRT, -6, "SI_TKILL", kill.CauseNone},
		"sigqueue":                      {kill.SIGTERM, -1, "SI_QUEUE", kill.CauseNone},
		"a timer":                       {kill.SIGTERM, -2, "SI_TIMER", kill.CauseTimer},
		"a name lookup":                 {kill.SIGTERM, -60, "SI_ASYNCNL", kill.CauseNone},
		"a bad address":                 {kill.SIGSEGV, 1, "SEGV_MAPERR", kill.CauseCrash},
		"the last of SEGV":              {kill.SIGSEGV, 10, "SEGV_CPERR", kill.CauseCrash},
		"one newer than us":             {kill.SIGSEGV, 11, "", kill.CauseCrash},
		"the kernel says SEGV":          {kill.SIGSEGV, 0x80, "SI_KERNEL", kill.CauseCrash},
		"SEGV by kill":                  {kill.SIGSEGV, 0, "SI_USER", kill.CauseNone},
		"SEGV by a program of its own":  {kill.SIGSEGV, -77, "", kill.CauseNone},
		"division":                      {kill.SIGFPE, 1, "FPE_INTDIV", kill.CauseCrash},
		"no such instruction":           {kill.SIGILL, 2, "ILL_ILLOPN", kill.CauseCrash},
		"behind the end of a file":      {kill.SIGBUS, 2, "BUS_ADRERR", kill.CauseCrash},
		"a breakpoint":                  {trap, 1, "TRAP_BRKPT", kill.CauseCrash},
		"seccomp":                       {kill.SIGSYS, 1, "SYS_SECCOMP", kill.CauseSeccomp},
		"syscall user dispatch":         {kill.SIGSYS, 2, "SYS_USER_DISPATCH", kill.CauseCrash},
		"a code of another signal":      {kill.SIGTERM, 1, "", kill.CauseNone},
		"no code has the number 0x7fff": {kill.SIGSEGV, 0x7fff, "", kill.CauseCrash},
		"the smallest number":           {kill.SIGSEGV, -1 << 31, "", kill.CauseNone},
		"the largest number":            {kill.SIGSEGV, 1<<31 - 1, "", kill.CauseCrash},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.name, codeName(tt.signal, tt.code))
			assert.Equal(t, tt.cause, causeOf(tt.signal, tt.code))
		})
	}
}

func TestCauseOfDeath(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		signal kill.Signal
		code   int32
		own    bool
		want   kill.Cause
	}{
		"a fault":                      {kill.SIGSEGV, 1, false, kill.CauseCrash},
		"a fault without an address":   {kill.SIGSEGV, codeKernel, false, kill.CauseCrash},
		"abort(3)":                     {kill.SIGABRT, codeTkill, true, kill.CauseCrash},
		"raised again by a handler":    {kill.SIGSEGV, codeUser, true, kill.CauseCrash},
		"seccomp":                      {kill.SIGSYS, codeSeccomp, false, kill.CauseSeccomp},
		"kill -ABRT":                   {kill.SIGABRT, codeUser, false, kill.CauseNone},
		"tgkill(2) by another process": {kill.SIGABRT, codeTkill, false, kill.CauseNone},
		"sigqueue(3)":                  {kill.SIGSEGV, codeQueue, false, kill.CauseNone},
		"a timer":                      {kill.SIGABRT, codeTimer, false, kill.CauseTimer},
		"a file is ready":              {kill.SIGABRT, 1, false, kill.CauseNone},
		"the limit of CPU time":        {signalCPULimit, codeKernel, false, kill.CauseNone},
		"the limit of file sizes":      {signalFileSizeLimit, codeUser, true, kill.CauseNone},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, causeOfDeath(tt.signal, tt.code, tt.own))
		})
	}
}

func TestDelivery(t *testing.T) {
	t.Parallel()
	for result, want := range map[int32]kill.Delivery{
		-1: kill.DeliveryUnknown, 0: kill.DeliveryDelivered, 1: kill.DeliveryIgnored, 2: kill.DeliveryPending,
		overflow: kill.DeliveryOverflow, 4: kill.DeliveryWithoutInfo, 5: kill.DeliveryUnknown,
	} {
		assert.Equal(t, want, deliveryOf(kill.SIGTERM, result), result)
	}
	assert.Equal(t, kill.DeliveryUnknown, deliveryOf(signalContinue, ignored), "a stopped process goes on")
	assert.Equal(t, kill.DeliveryDelivered, deliveryOf(signalContinue, 0))
}
