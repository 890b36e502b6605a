// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"crypto/sha256"
	"encoding/binary"
	"path"
	"strconv"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// digest identifies something by a hash that nobody can find a second text for, however long that is.
type digest [16]byte

// kind is what a key is about, most telling first.
type kind uint8

const (
	// byTarget is the process that is signaled: what follows a signal belongs to it.
	byTarget kind = iota
	// byRequester, byInitiator and bySender are processes of one host.
	byRequester
	byInitiator
	bySender
	// bySession is a login on one host.
	bySession
	// byClient is a login user and the address that he came from.
	byClient
	// byHop is a login user on one host. byOrigin is no key of records: one who came from a host is found by its addresses (byClient).
	byHop
	byOrigin
	// What follows are weak keys. A record has that of the program first.
	byUnit
	byUnitOfHost
	byOwner
	byContainer
	byManager
	byProgram
	byCause
	// byPod is no key of records: an event of Kubernetes finds incidents by it.
	byPod
	// byAttempt is a signal to a process that was refused, or may have been: another source may tell it as well.
	byAttempt
	kinds
)

// names are the values of kill.incident.joined_by.
var names = [kinds]string{
	byRequester: "requester", byInitiator: "initiator", bySender: "sender", bySession: "user", byClient: "client",
	byHop: "user", byOrigin: "user", byUnit: "unit", byUnitOfHost: "unit", byOwner: "container", byContainer: "container",
	byManager: "requester", byProgram: "sender", byCause: "cause",
}

// key is a digest whose first byte is the kind.
type key digest

func (k key) kind() kind { return kind(k[0]) }

// hasher makes keys. It is not safe for concurrent use.
type hasher struct{ buffer []byte }

// sum returns the digest of texts: their lengths are a part of it, so that no text can stand for two.
func (h *hasher) sum(texts ...string) (d digest) {
	h.buffer = h.buffer[:0]
	for _, text := range texts {
		h.buffer = binary.AppendUvarint(h.buffer, uint64(len(text)))
		h.buffer = append(h.buffer, text...)
	}
	sum := sha256.Sum256(h.buffer)
	copy(d[:], sum[:])
	return d
}

func (h *hasher) key(k kind, texts ...string) key {
	sum := key(h.sum(texts...))
	sum[0] = byte(k)
	return sum
}

// keys are what a record can be joined by.
type keys struct {
	// target is the process that is signaled; attempt the signal to it, if that need not have got through.
	target, attempt key
	strong, weak    []key
	// hop is a login user on this host, and origin the same one on the host that he came from; zero if not known.
	hop, origin key
}

// keysOf returns the keys of a record, most telling first. They are valid until the next call.
func (t *Table) keysOf(r *Record, from *host) *keys {
	k := &t.keys
	k.strong, k.weak = k.strong[:0], k.weak[:0]
	k.target, k.attempt, k.hop, k.origin = key{}, key{}, key{}, key{}
	if r.Target.PID != 0 {
		k.target = t.hasher.key(byTarget, r.HostID, number(r.Target.PID))
		if !r.reaches() {
			k.attempt = t.hasher.key(byAttempt, r.HostID, number(r.Target.PID), number(r.SignalNumber))
		}
	}
	t.strongKeys(r, k, from)
	t.weakKeys(r, k)
	return k
}

func number(n int64) string { return strconv.FormatInt(n, 10) }

func (t *Table) strongKeys(r *Record, k *keys, from *host) {
	h := &t.hasher
	if q := &r.Requester; q.PID != 0 && !q.relay() {
		k.strong = append(k.strong, h.key(byRequester, r.HostID, number(q.PID), q.Name))
	}
	if i := &r.Initiator; i.PID != 0 {
		k.strong = append(k.strong, h.key(byInitiator, r.HostID, number(i.PID), i.Name))
	}
	if s := &r.Sender; s.PID != 0 && !r.managed() {
		k.strong = append(k.strong, h.key(bySender, r.HostID, number(s.PID), s.Start))
	}
	user := r.user()
	r.session = key{}
	if user == "" {
		return
	}
	if !r.act() { // it has nothing to do with what the same user does
		k.strong = append(k.strong, h.key(bySession, r.HostID, r.Session, r.login(), r.Cause))
		return
	}
	if r.Session != "" {
		r.session = h.key(bySession, r.HostID, r.Session, r.login())
		k.strong = append(k.strong, r.session)
	}
	if r.Client != "" {
		k.strong = append(k.strong, h.key(byClient, user, r.Client, r.whereClientIs(from)))
	}
	if r.UserName != "" {
		k.hop = h.key(byHop, user, r.HostID)
		if via := t.hosts.from(r, from); via != nil {
			k.origin = h.key(byHop, user, via.id)
		}
	}
}

// whereClientIs returns the host on which alone user and address mean something; empty if they mean the same on each: a
// user whose name is known, and an address that is not of this host or link. Many hosts have the same address of a bridge.
func (r *Record) whereClientIs(on *host) string {
	if r.UserName == "" || r.client.IsValid() && !r.client.IsGlobalUnicast() || on.has(r.client) {
		return r.HostID
	}
	return ""
}

func (t *Table) weakKeys(r *Record, k *keys) {
	h := &t.hasher
	who := r.who()
	own := r.Sender.Unit != "" && r.Sender.Unit == r.Target.Unit && !r.managed()
	if s := &r.Sender; s.Name+s.Path != "" && !r.managed() && !own && r.telling() {
		k.weak = append(k.weak, h.key(byProgram, s.Path, s.Name, s.UserID, r.Target.Name, who))
	}
	if !r.reaches() { // what is refused says nothing of the target: anybody can try to kill it
		return
	}
	if unit := r.Target.Unit; unit != "" {
		if !own && r.systemWide() {
			k.weak = append(k.weak, h.key(byUnit, unit, r.Cause, who))
		}
		k.weak = append(k.weak, h.key(byUnitOfHost, r.HostID, unit))
	}
	if p := &r.Target; p.PodName != "" {
		k.weak = append(k.weak, h.key(byOwner, p.PodNamespace, owner(p.PodName), r.Cause, who))
	}
	if c := r.Target.Container; c != "" {
		k.weak = append(k.weak, h.key(byContainer, r.HostID, c))
	}
	if q := &r.Requester; q.PID != 0 && q.relay() {
		k.weak = append(k.weak, h.key(byManager, r.HostID, number(q.PID), r.Cause))
	}
	if r.Cause != "" {
		k.weak = append(k.weak, h.key(byCause, append([]string{r.HostID, r.Cause}, r.reach()...)...))
	}
}

// telling reports whether the program of a sender says anything on other hosts: that of a user who is known, or one of root
// that nothing on this host has begun, such as a daemon that kills for itself.
func (r *Record) telling() bool {
	return r.UserName != "" || r.Sender.UserID == "0" && r.Initiator.PID == 0 && r.user() == ""
}

// who returns who is behind a record, as far as it is known, so that what two people do stays two things. It means
// the same on all hosts, or else it names the host. From where they came is compared apart (contradicts): it is not
// always known.
func (r *Record) who() string {
	user, asker, host := r.user(), "", ""
	if q := &r.Requester; q.known() && !q.relay() {
		asker = q.Name + "\x00" + q.UserID
		if q.UserID != "0" && q.UserName == "" {
			host = r.HostID
		}
	}
	if r.UserName == "" && user != "" { // the number is somebody else's on another host, also if both come through one address
		host = r.HostID
	}
	if user == "" && asker == "" {
		return ""
	}
	return strings.Join([]string{user, asker, host}, "\x00")
}

// reach returns what a cause strikes on one host, beside that itself: a lack of memory strikes a control group or the
// host, a shutdown the host, anything else a unit or a program.
func (r *Record) reach() []string {
	switch kill.Cause(r.Cause) {
	case kill.CauseOOM:
		return []string{r.OOMCgroup}
	case kill.CauseShutdown, kill.CauseMemoryPressure, kill.CauseSwapPressure:
		return nil
	}
	return []string{r.Target.Unit, r.Target.Name, r.Target.Container}
}

// systemWide reports whether the name of the target's unit means the same on each host. Any user can have units of
// any name in a manager of his own, and so can the owner of a container.
func (r *Record) systemWide() bool {
	if r.Target.Container != "" || strings.HasPrefix(r.Target.Cgroup, "/user.slice/") || strings.HasSuffix(r.Target.Unit, ".scope") {
		return false
	}
	return !r.managed() || r.Sender.UserID == "" || r.Sender.UserID == "0"
}

// managed reports whether the sender acts for others, so that it says nothing itself.
func (r *Record) managed() bool {
	if r.Requester.known() || r.Sender.PID == 1 || kill.Cause(r.Cause).Managed() || r.prompted() {
		return true
	}
	dir, program := path.Split(r.Sender.Path)
	return !r.Sender.Foreign && installed(dir) && (isRelay(program) || program == "systemd" || program == "systemd-executor")
}

// installed reports whether only root can have put a program into a directory.
func installed(dir string) bool {
	for _, prefix := range []string{"/usr/", "/lib/", "/bin/", "/sbin/"} {
		if strings.HasPrefix(dir, prefix) {
			return true
		}
	}
	return false
}

// relay reports whether the requester does for very many others what they want. Any user can give a program of his own
// such a name.
func (q *Requester) relay() bool { return isRelay(q.Name) && (q.UserID == "0" || q.UserID == "") }

// isRelay reports whether a program does for very many others what they want, so that what it has asked for need not
// belong together.
func isRelay(program string) bool {
	switch program {
	case "dockerd", "containerd", "crio", "conmon", "runc", "crun", "supervisord", "containerd-shim",
		"containerd-shim-runc-v2", "podman", "docker-containerd":
		return true
	}
	return isKubelet(program) || strings.HasPrefix(program, "containerd-shim") // the kernel cuts names to 15 bytes
}

// isKubelet reports whether a program is Kubernetes' agent of a node, alone or as a part of what k3s, MicroK8s and others start.
func isKubelet(program string) bool {
	switch program {
	case "kubelet", "k3s", "k3s-server", "k3s-agent", "kubelite", "hyperkube":
		return true
	}
	return false
}

// owner returns the name of what a pod belongs to: web of web-5d8f7c9b6-x2x4z (a Deployment), fluentd of fluentd-x2x4z (a
// DaemonSet) and mysql of mysql-0 (a StatefulSet).
func owner(pod string) string {
	rest, last, found := cutLast(pod)
	if !found {
		return pod
	}
	if isNumber(last) {
		return rest
	}
	if len(last) != 5 || !generated(last) {
		return pod
	}
	if above, hash, found := cutLast(rest); found && len(hash) >= 6 && len(hash) <= 10 && generated(hash) {
		return above
	}
	return rest
}

func cutLast(name string) (before, last string, found bool) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}

func isNumber(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }

// generated reports whether a text has only characters that Kubernetes makes names of
// (k8s.io/apimachinery/pkg/util/rand, alphanums: no vowels, and none that look like others).
func generated(text string) bool { return strings.Trim(text, "bcdfghjklmnpqrstvwxz2456789") == "" }
