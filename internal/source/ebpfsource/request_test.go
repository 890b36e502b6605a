// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux && (amd64 || arm64)

package ebpfsource

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const stopsWeb = `{"method":"io.systemd.Unit.Stop","parameters":{"name":"web.service"}}` + "\x00"

// asking is the record of a process that connects to process 1, or sends it something.
func asking(kind uint8, sent string) []byte {
	r := &kernelRequestRecord{
		Kind: kind, Listener: 1, Time: uint64(time.Second), Requester: party(30, "systemctl"), Parent: 9, AncestorCount: 2,
		SentLength: uint32(len(sent)),
	}
	r.Requester.Uid, r.Requester.Euid, r.Requester.Login, r.Requester.Session = 1000, 0, 1000, 3
	r.Ancestors[0] = ancestor(9, "bash")
	r.Ancestors[1] = ancestor(1, "systemd")
	r.TitleLength = uint32(copy(r.Title[:], "systemctl\x00stop\x00web\x00"))
	copy(r.Socket[:], "/run/systemd/private")
	copy(r.Sent[:], sent)
	return bytesOf(r)[:int(sentOffset)+len(sent)]
}

func TestRequest(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	b.add(asking(kindConnect, ""))
	b.add(asking(kindMessage, stopsWeb+stopsWeb))
	b.add(asking(kindMessage, "nothing"))
	require.Len(t, b.events, 3)
	want := attribution.Request{
		Time: boot.Add(time.Second), Manager: 1, Socket: "/run/systemd/private",
		Requester: kill.Process{
			PID: 30, ThreadID: 30, ParentPID: 9, Command: "systemctl", Leader: "systemctl", Executable: "/usr/bin/program",
			Title: "systemctl\x00stop\x00web", User: user(0), RealUser: user(1000), SavedUser: user(101), Login: user(1000),
			Session: kill.NewID(3), Instance: instanceOf(30), Home: kill.Home{PIDs: kill.WhoseHost},
			Ancestry: []kill.Ancestor{{PID: 9, Command: "bash"}, {PID: 1, Command: "systemd"}},
		},
	}
	assert.Equal(t, &want, b.events[0].Fact.Request)
	want.Call = &attribution.Call{Member: "StopUnit", Object: "web.service"}
	assert.Equal(t, &want, b.events[1].Fact.Request)
	assert.Equal(t, &want, b.events[2].Fact.Request)
	assert.Zero(t, b.counts.malformed)
}

func TestMalformedRequest(t *testing.T) {
	t.Parallel()
	b := newBench(nil)
	whole := asking(kindMessage, stopsWeb)
	for _, length := range []int{1, int(sentOffset) - 1, int(sentOffset), len(whole) - 1} {
		b.add(whole[:length])
	}
	assert.EqualValues(t, 4, b.counts.malformed)
	assert.Empty(t, b.events)
	long := &kernelRequestRecord{Kind: kindConnect, TitleLength: 1 << 31, AncestorCount: 1 << 31}
	copy(long.Socket[:], make([]byte, len(long.Socket)))
	b.add(bytesOf(long))
	assert.Len(t, b.events, 1)
}
