// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrecord

import "bytes"

var (
	byteOrderMark = []byte("\ufeff")
	tagEnd        = []byte(": ")
	kernelTag     = []byte("kernel: ")
)

// withoutPrefix returns what follows what other programs have put before a record: the name of the
// file (grep), the number of the line (cat -n), the head of a syslog line (audispd, rsyslog), the time in the kernel's
// log (dmesg), or what quotes a line in a mail or a ticket. It
// returns nil if there is no record, or if it stands where a user could have written it: behind the
// head of another program's line.
func withoutPrefix(line []byte) []byte {
	line = bytes.TrimPrefix(line, byteOrderMark)
	at := bytes.Index(line, typePrefix)
	if at < 0 {
		return nil
	}
	if node := bytes.LastIndex(line[:at], nodePrefix); node >= 0 && bytes.IndexByte(line[node:], ' ') == at-node-1 {
		at = node
	}
	if prefix := line[:at]; len(prefix) > 0 && !ofGrep(prefix) && !ofQuote(prefix) && !ofAudit(prefix) {
		return nil
	}
	return line[at:]
}

// ofGrep reports whether a prefix is a file's name, with or without the number of the line. grep -C ends it with a hyphen
// for the lines around those that match.
func ofGrep(prefix []byte) bool {
	last := prefix[len(prefix)-1]
	return (last == ':' || last == '-') && bytes.IndexByte(prefix, ' ') < 0
}

// ofQuote reports whether a prefix is the number of a line, or what quotes one.
func ofQuote(prefix []byte) bool {
	rest := bytes.TrimRight(bytes.TrimLeft(prefix, "> |\t"), " \t")
	return len(bytes.Trim(rest, "0123456789")) == 0 && (len(rest) == 0 || prefix[len(prefix)-1] == ' ' || prefix[len(prefix)-1] == '\t')
}

// ofAudit reports whether a prefix is the head of a line from the audit system: "... audispd: ",
// "... kernel: [ 100.1] audit: ".
func ofAudit(prefix []byte) bool {
	head, ok := bytes.CutSuffix(prefix, tagEnd)
	if !ok {
		return false
	}
	tag := head[bytes.LastIndexByte(head, ' ')+1:]
	head = head[:len(head)-len(tag)]
	name, _, _ := bytes.Cut(tag, []byte("["))
	switch string(name) {
	case "audit", "audispd", "audisp-syslog", "auditd":
	default:
		return false
	}
	// No other program's tag may come before it, as everything behind that is the program's.
	before, after, tagged := bytes.Cut(head, tagEnd)
	if !tagged {
		return true
	}
	return bytes.HasSuffix(append(before[:len(before):len(before)], tagEnd...), kernelTag) &&
		(len(after) == 0 || after[0] == '[' && bytes.HasSuffix(after, []byte("] ")) && !bytes.Contains(after, tagEnd))
}
