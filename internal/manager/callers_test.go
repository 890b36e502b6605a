// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package manager

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/dbus"
)

// TestCallerNotAskedAbout has the bus be too busy to be asked who a connection is: it is asked again.
func TestCallerNotAskedAbout(t *testing.T) {
	t.Parallel()
	l := newLink(&manager{watcher: New(Config{})}, true)
	ours, theirs := net.Pipe()
	require.NoError(t, theirs.Close())
	l.conn = dbus.New(ours, dbus.Config{Patience: time.Second})
	require.Error(t, l.conn.Serve(t.Context(), func(*dbus.Message) {}))
	for range 2 {
		told := false
		l.callers.find(":1.1", func(found caller) { told = found == caller{} })
		assert.True(t, told)
		assert.Empty(t, l.callers.known, "it may be known the next time")
		assert.Empty(t, l.callers.names)
	}
}

// TestMinorMessages says which messages anybody can cause, so that they leave room for the others.
func TestMinorMessages(t *testing.T) {
	t.Parallel()
	l := newLink(&manager{watcher: New(Config{})}, true)
	o := &observer{link: l}
	l.callers.remember(":1.1", &inquiry{answered: true, caller: caller{pid: 7, trusted: true}})
	l.callers.remember(":1.2", &inquiry{answered: true, caller: caller{pid: 8}})
	assert.True(t, l.minor(&dbus.Message{Kind: dbus.KindSignal, Sender: busName, Member: "NameOwnerChanged"}))
	assert.False(t, l.minor(&dbus.Message{Kind: dbus.KindSignal, Sender: ":1.5", Member: "JobNew"}))
	assert.False(t, o.minor(&dbus.Message{Kind: dbus.KindCall, Sender: ":1.1"}))
	assert.True(t, o.minor(&dbus.Message{Kind: dbus.KindCall, Sender: ":1.2"}))
	assert.True(t, o.minor(&dbus.Message{Kind: dbus.KindCall, Sender: ":1.3"}))
	assert.False(t, o.minor(&dbus.Message{Kind: dbus.KindReply, Sender: ":1.5"}))
}

func TestCallersAreForgotten(t *testing.T) {
	t.Parallel()
	c := newCallers(nil)
	for i := range 3 * maxCallers {
		c.remember(":1."+strconv.Itoa(i), new(inquiry))
	}
	assert.Len(t, c.known, maxCallers)
	assert.Len(t, c.names, maxCallers)
	assert.Contains(t, c.known, ":1."+strconv.Itoa(3*maxCallers-1))
}

// TestCallersInAFlood has anybody connect all the time while root's program calls systemd, which may be gone by the time that
// the bus could be asked for it again.
func TestCallersInAFlood(t *testing.T) {
	t.Parallel()
	for others, most := range map[bool]int{false: maxCallers, true: maxCallersOfOther} {
		c := newCallers(newLink(&manager{watcher: New(Config{}), others: others}, true))
		connect := func(name string, found caller) {
			at := new(inquiry)
			c.remember(name, at)
			c.answer(name, at, found)
		}
		connect(":root", caller{pid: 7, trusted: true})
		for i := range 3 * maxCallers {
			connect(":1."+strconv.Itoa(i), caller{pid: 8})
		}
		told := false
		c.find(":root", func(found caller) { told = found.pid == 7 })
		assert.True(t, told)
		assert.LessOrEqual(t, len(c.known), most+1)
		for i := range 3 * maxCallers {
			connect(":2."+strconv.Itoa(i), caller{pid: 9, trusted: true})
		}
		assert.LessOrEqual(t, len(c.known), 2*most)
		assert.LessOrEqual(t, len(c.names), most)
		assert.LessOrEqual(t, len(c.trusted), most)
	}
}
