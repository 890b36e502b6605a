// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"strconv"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// Name returns a process as sentences name it: mysqld[3936].
func Name(p *kill.Process) string { return string(appendProcess(nil, p)) }

// Ending returns how a process ended, as sentences say it: "was killed by SIGKILL".
func Ending(o *kill.Outcome) string { return string(appendVerdict(nil, o)) }

// Reported returns the fatal signal whose number an exit code has above 128, which is how shells and runtimes report
// that a signal ended what they ran; 0 if the code is none of these. A program may exit so for any reason.
func Reported(code int) kill.Signal {
	const above, standard = 128, 31
	if signal := kill.Signal(code - above); code > above && signal <= standard && signal.Fatal() {
		return signal
	}
	return 0
}

// appendExit appends an exit code, and what it stands for by custom.
func appendExit(buf []byte, code int) []byte {
	buf = strconv.AppendInt(append(buf, "exited with code "...), int64(code), 10)
	if signal := Reported(code); signal != 0 {
		buf = append(append(append(buf, " (128 + "...), signal.Name()...), ')')
	}
	return buf
}
