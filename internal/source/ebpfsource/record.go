// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"bytes"
	"unsafe"
)

// The kinds of records (kernel/record.h).
const (
	kindSignal = 1 + iota // a signal was generated
	kindCall              // a call has ended: it failed, signaled a group, or sent signal 0
	kindDeath             // of a process, by a signal that dumps core
	kindVictim            // chosen by the OOM killer
	kindFork
	kindExec
	kindExit
	kindCgroup
	kindPulse   // we are still heard
	kindConnect // to a manager's socket
	kindMessage // sent on such a connection
	kindHandled // by the OOM killer: all victims of one lack of memory were reported
	kindChanged // a process runs another program; there was no room for more
)

// The calls that send signals (kernel/call.h).
const (
	callNone = iota
	callKill
	callTkill
	callTgkill
	callSigqueue
	callTgsigqueue
	callPidfd
)

// callNames are the values of kill.syscall.
var callNames = [...]string{
	callKill: "kill", callTkill: "tkill", callTgkill: "tgkill", callSigqueue: "rt_sigqueueinfo",
	callTgsigqueue: "rt_tgsigqueueinfo", callPidfd: "pidfd_send_signal",
}

// Why the kernel sends a signal on its own account (kernel/record.h).
const (
	causeUnknown = iota
	causeCPULimit
	causeFileSizeLimit
	causeTerminalKey
	causeTerminalHangup
	causeCgroupKill
	causeNamespaceEnd
	causeParentDeath
	causeRealtimeLimit
)

// Where the siginfo comes from (kernel/record.h, special).
const (
	infoNone = 0 // SEND_SIG_NOINFO: the kernel, in the name of the process
	infoPriv = 1 // SEND_SIG_PRIV: the kernel itself
	infoOwn  = 2 // siginfo of its own
)

// Where the parts of variable length begin.
const (
	execTextOffset   = unsafe.Offsetof(kernelExecRecord{}.Text)
	cgroupPathOffset = unsafe.Offsetof(kernelCgroupRecord{}.Path)
	sentOffset       = unsafe.Offsetof(kernelRequestRecord{}.Sent)
	victimPathOffset = unsafe.Offsetof(kernelVictimRecord{}.Path)
)

// view returns the bytes of a record as a struct, or nil if they are too few. A program of
// this receiver wrote them in the same memory layout; copying them field by field would
// cost as much as everything else that is done with them.
func view[T any](raw []byte, size uintptr) *T {
	if uintptr(len(raw)) < size || uintptr(unsafe.Pointer(unsafe.SliceData(raw)))%8 != 0 { //nolint:gosec // only checks the alignment
		return nil
	}
	return (*T)(unsafe.Pointer(unsafe.SliceData(raw))) //nolint:gosec // the length and alignment were checked above
}

// whole is view for records of one size.
func whole[T any](raw []byte) *T { return view[T](raw, unsafe.Sizeof(*new(T))) }

// isRequest reports whether a record is about a request.
func isRequest(raw []byte) bool {
	return len(raw) > 0 && (raw[0] == kindConnect || raw[0] == kindMessage)
}

// isPulse reports whether a record is only there because the reader wanted it.
func isPulse(raw []byte) bool { return len(raw) > 0 && raw[0] == kindPulse }

// execution is what a process started to run.
type execution struct {
	*kernelExecRecord
	// path holds the parts of the program's path, last part first, each with a NUL;
	// arguments the command line, with a NUL after each argument.
	path, arguments []byte
}

// viewExec returns the bytes of an EXEC record as an execution.
func viewExec(raw []byte) (execution, bool) {
	r := view[kernelExecRecord](raw, execTextOffset)
	if r == nil {
		return execution{}, false
	}
	text := raw[execTextOffset:]
	split, end := int(r.PathLength), int(r.PathLength)+int(r.ArgumentsLength)
	if end > len(text) {
		return execution{}, false
	}
	return execution{kernelExecRecord: r, path: text[:split], arguments: text[split:end]}, true
}

// executable joins the parts of the path.
func (x *execution) executable() string {
	path := join(x.path)
	if path != "" && x.Deleted != 0 {
		path += " (deleted)" // as the kernel writes it (fs/d_path.c)
	}
	return path
}

// join joins the parts of a path, of which the last comes first, each with a NUL; empty if there are none.
func join(parts []byte) string {
	if len(parts) == 0 {
		return ""
	}
	buf := make([]byte, 0, len(parts))
	for rest := bytes.TrimSuffix(parts, []byte{0}); ; {
		cut := bytes.LastIndexByte(rest, 0)
		buf = append(append(buf, '/'), rest[cut+1:]...)
		if cut < 0 {
			return string(buf)
		}
		rest = rest[:cut]
	}
}

// viewCgroup returns the bytes of a CGROUP record as a struct, and the path in it.
func viewCgroup(raw []byte) (r *kernelCgroupRecord, path []byte, ok bool) {
	r = view[kernelCgroupRecord](raw, cgroupPathOffset)
	if r == nil || uintptr(len(raw)) < cgroupPathOffset+uintptr(r.PathLength) {
		return nil, nil, false
	}
	return r, trimCommand(raw[cgroupPathOffset:][:r.PathLength]), true
}

// viewVictim returns the bytes of a VICTIM record as a struct, and the parts of the path in it.
func viewVictim(raw []byte) (r *kernelVictimRecord, path []byte, ok bool) {
	r = view[kernelVictimRecord](raw, victimPathOffset)
	if r == nil || uintptr(len(raw)) < victimPathOffset+uintptr(r.PathLength) {
		return nil, nil, false
	}
	return r, raw[victimPathOffset:][:r.PathLength], true
}

// viewRequest returns the bytes of a CONNECT or MESSAGE record as a struct, and the beginning of the message.
func viewRequest(raw []byte) (r *kernelRequestRecord, sent []byte, ok bool) {
	r = view[kernelRequestRecord](raw, sentOffset)
	if r == nil || uintptr(len(raw)) < sentOffset+uintptr(r.SentLength) {
		return nil, nil, false
	}
	return r, raw[sentOffset:][:r.SentLength], true
}

// trimCommand cuts text at its first NUL.
func trimCommand(text []byte) []byte {
	if end := bytes.IndexByte(text, 0); end >= 0 {
		return text[:end]
	}
	return text
}

// trimTitle removes what the kernel's audit system also removes: everything after the last
// printable character (kernel/auditsc.c, audit_proctitle_rtrim).
func trimTitle(title []byte) []byte {
	return bytes.TrimRightFunc(title, func(r rune) bool { return r < ' ' || r == 0x7f })
}
