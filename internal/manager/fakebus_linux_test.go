// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	godbus "github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/require"
)

// fakeBus is a bus with a systemd, a logind and an oomd.
type fakeBus struct {
	t        *testing.T
	listener net.Listener

	mu sync.Mutex
	// answers has the answers to calls by member, and to those for a property by its name.
	answers map[string][]any
	// calls are the members that were called, and names of properties.
	calls   []string
	clients []*fakeClient
	// silent, if set, lets a handshake wait for good.
	silent bool
	done   sync.WaitGroup
}

// fakeClient is a connection to the fake bus.
type fakeClient struct {
	net.Conn
	reader *bufio.Reader
	// ready is true once it listens, monitor once it is shown the messages of others.
	ready, monitor bool
}

// newFakeBus listens below a root of the fake host.
func (h *fakeHost) newFakeBus(path string) *fakeBus {
	h.t.Helper()
	path = filepath.Join(h.root, path)
	require.NoError(h.t, os.MkdirAll(filepath.Dir(path), 0o755))
	_ = os.Remove(path)
	listener, err := new(net.ListenConfig).Listen(h.t.Context(), "unix", path)
	require.NoError(h.t, err)
	b := &fakeBus{t: h.t, listener: listener, answers: map[string][]any{
		"Hello": {":1.99"}, "AddMatch": {}, "Subscribe": {},
		systemdName: {systemdOwner}, logindName: {logindOwner}, oomdName: {oomdOwner},
	}}
	b.done.Go(b.accept)
	h.t.Cleanup(b.close)
	return b
}

func (b *fakeBus) close() {
	_ = b.listener.Close()
	b.disconnect()
	b.done.Wait()
}

// disconnect closes all connections.
func (b *fakeBus) disconnect() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.clients {
		_ = c.Close()
	}
	b.clients = nil
}

func (b *fakeBus) accept() {
	for {
		conn, err := b.listener.Accept()
		if err != nil {
			return
		}
		c := &fakeClient{Conn: conn, reader: bufio.NewReader(conn)}
		b.mu.Lock()
		b.clients = append(b.clients, c)
		silent := b.silent
		b.mu.Unlock()
		if !silent {
			b.done.Go(func() { b.serve(c) })
		}
	}
}

func (b *fakeBus) serve(c *fakeClient) {
	defer func() { _ = recover() }() // godbus panics if a message is cut
	for _, step := range []string{"AUTH EXTERNAL", "DATA", "BEGIN"} {
		line, err := c.reader.ReadString('\n')
		if err != nil || strings.Trim(line, "\x00\r\n") != step {
			return
		}
		if answer := map[string]string{"AUTH EXTERNAL": "DATA\r\n", "DATA": "OK 1234\r\n"}[step]; answer != "" {
			_, _ = c.Write([]byte(answer))
		}
	}
	for {
		m, err := godbus.DecodeMessage(c.reader)
		if err != nil {
			return
		}
		b.answer(c, m)
	}
}

// answer answers a call, unless it is not to be answered.
func (b *fakeBus) answer(c *fakeClient, m *godbus.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	name, _ := m.Headers[godbus.FieldMember].Value().(string)
	if name == "Get" || name == "GetNameOwner" || name == "GetConnectionCredentials" {
		name, _ = m.Body[len(m.Body)-1].(string)
	}
	b.calls = append(b.calls, name)
	c.monitor = c.monitor || name == "BecomeMonitor"
	c.ready = c.ready || name == "ListJobs"
	reply := &godbus.Message{Type: godbus.TypeMethodReply, Headers: map[godbus.HeaderField]godbus.Variant{
		godbus.FieldReplySerial: godbus.MakeVariant(m.Serial()),
	}}
	body, ok := b.answers[name]
	if !ok {
		reply.Type = godbus.TypeError
		reply.Headers[godbus.FieldErrorName] = godbus.MakeVariant("org.freedesktop.DBus.Error.UnknownObject")
	}
	reply.Body = body
	c.send(reply)
}

// send writes a message, whose serial godbus does not let us set.
func (c *fakeClient) send(m *godbus.Message) {
	if len(m.Body) > 0 {
		m.Headers[godbus.FieldSignature] = godbus.MakeVariant(godbus.SignatureOf(m.Body...))
	}
	_ = m.EncodeTo(c, binary.LittleEndian)
}

// set has calls answered in a way.
func (b *fakeBus) set(member string, body ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers[member] = body
}

// forget has calls refused.
func (b *fakeBus) forget(member string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.answers, member)
}

// mute has new connections wait for an answer for good.
func (b *fakeBus) mute(silent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.silent = silent
}

// called returns how often something was called.
func (b *fakeBus) called(member string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, call := range b.calls {
		if call == member {
			n++
		}
	}
	return n
}

// awaitClient waits until somebody listens.
func (b *fakeBus) awaitClient() {
	b.t.Helper()
	eventually(b.t, func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, c := range b.clients {
			if c.ready {
				return true
			}
		}
		return false
	})
}

// signal sends a signal to all who listen. The sender is empty without a bus.
func (b *fakeBus) signal(sender, path, name string, body ...any) {
	b.t.Helper()
	m := newSignal(sender, path, name, body...)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.clients {
		c.send(m)
	}
}

func newSignal(sender, path, name string, body ...any) *godbus.Message {
	dot := strings.LastIndexByte(name, '.')
	m := &godbus.Message{Type: godbus.TypeSignal, Body: body, Headers: map[godbus.HeaderField]godbus.Variant{
		godbus.FieldPath:      godbus.MakeVariant(godbus.ObjectPath(path)),
		godbus.FieldInterface: godbus.MakeVariant(name[:dot]),
		godbus.FieldMember:    godbus.MakeVariant(name[dot+1:]),
	}}
	if sender != "" {
		m.Headers[godbus.FieldSender] = godbus.MakeVariant(sender)
	}
	return m
}

// flood sends signals until the connections are closed.
func (b *fakeBus) flood() {
	m := newSignal(systemdOwner, systemdPath, systemdName+".Manager.JobNew", uint32(5), godbus.ObjectPath(jobsPath+"5"), mysql)
	m.Headers[godbus.FieldSignature] = godbus.MakeVariant(godbus.SignatureOf(m.Body...))
	var data bytes.Buffer
	for range 1000 {
		_ = m.EncodeTo(&data, binary.LittleEndian)
	}
	b.mu.Lock()
	clients := slices.Clone(b.clients)
	b.mu.Unlock()
	for _, c := range clients {
		for {
			if _, err := c.Write(data.Bytes()); err != nil {
				break
			}
		}
	}
}

func (b *fakeBus) jobNew(sender string, id uint32, unit string) {
	b.t.Helper()
	b.signal(sender, systemdPath, systemdName+".Manager.JobNew", id, godbus.ObjectPath(jobsPath+strconv.Itoa(int(id))), unit)
}

func (b *fakeBus) jobRemoved(id uint32, unit, result string) {
	b.t.Helper()
	path := godbus.ObjectPath(jobsPath + strconv.Itoa(int(id)))
	b.signal(systemdOwner, systemdPath, systemdName+".Manager.JobRemoved", id, path, unit, result)
}

// enters has a unit of mysql enter a state.
func (b *fakeBus) enters(active, sub, result string) {
	b.t.Helper()
	const path = unitsPath + "mysql_2eservice"
	b.signal(systemdOwner, path, properties+".PropertiesChanged", systemdName+".Service", map[string]godbus.Variant{
		"Result": godbus.MakeVariant(result), "MainPID": godbus.MakeVariant(uint32(7)),
	}, []string{"ExecMainPID"})
	b.signal(systemdOwner, path, properties+".PropertiesChanged", systemdName+".Unit", map[string]godbus.Variant{
		"ActiveState": godbus.MakeVariant(active), "SubState": godbus.MakeVariant(sub),
	}, []string{})
}
