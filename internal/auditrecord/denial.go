// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

import "bytes"

// Denial is a record in which a security module says that it refused a signal: AVC of SELinux
// (security/selinux/avc.c) and AppArmor (security/apparmor/ipc.c), LANDLOCK_ACCESS
// (security/landlock/audit.c).
type Denial struct {
	// SignalName is what the module calls the signal: "sigkill" or "signull" in SELinux, where
	// "signal" is any that has no name of its own, "kill" or "exists" in AppArmor; empty in
	// Landlock.
	SignalName []byte
	// PID and Comm are the sender's; 0 and empty in Landlock.
	PID  int
	Comm []byte
	// Subject is the sender's label, Object the target's.
	Subject, Object []byte
	// TargetPID and TargetComm are the target's; only Landlock names it.
	TargetPID  int
	TargetComm []byte
}

// ParseDenial parses the fields of an AVC or LANDLOCK_ACCESS record. It returns false if the
// record is about something else than a signal, or if nothing was refused.
func ParseDenial(t Type, record []byte) (Denial, bool) {
	switch {
	case t == TypeLandlockAccess:
		return parseLandlock(record)
	case bytes.Contains(record, []byte(`operation="signal"`)):
		return parseAppArmor(record)
	}
	return parseSELinux(record)
}

// parseSELinux reads
// avc:  denied  { sigkill } for  pid=1 comm="a" scontext=A tcontext=B tclass=process permissive=0.
func parseSELinux(record []byte) (d Denial, refused bool) {
	permissions, rest, ok := bytes.Cut(record, []byte("} for "))
	decision, permissions, braced := bytes.Cut(permissions, []byte("{"))
	if !ok || !braced || !bytes.Contains(decision, []byte("denied")) {
		return d, false
	}
	for word := range bytes.FieldsSeq(permissions) {
		switch string(word) {
		case "signal", "sigkill", "sigstop", "signull", "sigchld":
			d.SignalName = word
		}
	}
	process, enforced := false, true
	f := fields{rest: rest}
	for {
		key, value, more := f.next()
		if !more {
			break
		}
		switch string(key) {
		case "pid":
			d.PID, _ = parsePID(value)
		case "comm":
			d.Comm = value
		case "scontext":
			d.Subject = value
		case "tcontext":
			d.Object = value
		case "tclass":
			process = string(value) == "process"
		case "permissive":
			enforced = string(value) == "0"
		}
	}
	return d, d.SignalName != nil && process && enforced
}

// parseAppArmor reads apparmor="DENIED" operation="signal" profile="A" pid=1 comm="a"
// requested_mask="receive" denied_mask="receive" signal=kill peer="B". The profile is that of the
// process that may not send, or of the one that may not receive; the peer is the other.
func parseAppArmor(record []byte) (d Denial, refused bool) {
	var profile, peer []byte
	denied, signal, receives := false, false, false
	f := fields{rest: record}
	for {
		key, value, more := f.next()
		if !more {
			break
		}
		switch string(key) {
		case "apparmor":
			denied = string(value) == `"DENIED"`
		case "operation":
			signal = string(value) == `"signal"`
		case "pid":
			d.PID, _ = parsePID(value)
		case "comm":
			d.Comm = value
		case "denied_mask":
			receives = string(value) == `"receive"`
		case "signal":
			d.SignalName = value
		case "profile":
			profile = Unquote(value)
		case "peer":
			peer = Unquote(value)
		}
	}
	d.Subject, d.Object = profile, peer
	if receives {
		d.Subject, d.Object = peer, profile
	}
	return d, denied && signal
}

// parseLandlock reads domain=1a6fdc66f blockers=scope.signal opid=1 ocomm="systemd".
func parseLandlock(record []byte) (d Denial, refused bool) {
	f := fields{rest: record}
	for {
		key, value, more := f.next()
		if !more {
			return d, refused && d.TargetPID != 0
		}
		switch string(key) {
		case "blockers":
			refused = string(value) == "scope.signal"
		case "opid":
			d.TargetPID, _ = parsePID(value)
		case "ocomm":
			d.TargetComm = value
		}
	}
}
