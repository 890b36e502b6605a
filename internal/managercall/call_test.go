// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package managercall

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// asks is what a message asks for.
type asks struct {
	member, object string
	signal         kill.Signal
}

func (a asks) call() attribution.Call {
	return attribution.Call{Member: a.member, Object: a.object, Signal: a.signal}
}

const handshake = "\x00AUTH EXTERNAL 30\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n"

func TestMethods(t *testing.T) {
	t.Parallel()
	const unit = "/org/freedesktop/systemd1/unit/mysql_2dprod_40a_2eservice"
	for name, test := range map[string]struct {
		message
		want asks
	}{
		"stop":            {toSystemd("StopUnit", "a.service", "replace"), asks{member: "StopUnit", object: "a.service"}},
		"restart":         {toSystemd("RestartUnit", "a.service", "replace"), asks{member: "RestartUnit", object: "a.service"}},
		"with flags":      {toSystemd("StartUnitWithFlags", "a.service", "replace"), asks{member: "StartUnit", object: "a.service"}},
		"in its place":    {toSystemd("StartUnitReplace", "a.service", "b.service", "x"), asks{member: "StartUnitReplace", object: "b.service"}},
		"a job":           {toSystemd("EnqueueUnitJob", "a.service", "stop", "fail"), asks{member: "StopUnit", object: "a.service"}},
		"a kill":          {toSystemd("KillUnit", "a.service", "all", int32(9)), asks{"KillUnit", "a.service", kill.SIGKILL}},
		"no such signal":  {toSystemd("KillUnit", "a.service", "all", int32(-9)), asks{member: "KillUnit", object: "a.service"}},
		"a queued signal": {toSystemd("QueueSignalUnit", "a.service", "all", int32(15), int32(1)), asks{"QueueSignalUnit", "a.service", kill.SIGTERM}},
		"the end of all":  {toSystemd("PowerOff"), asks{member: "PowerOff"}},
		"a unit":          {to(systemd+".Unit", unit, "Stop", "replace"), asks{member: "StopUnit", object: "mysql-prod@a.service"}},
		"a unit's job":    {to(systemd+".Unit", unit, "EnqueueJob", "try-restart", "fail"), asks{member: "TryRestartUnit", object: "mysql-prod@a.service"}},
		"a unit's kill":   {to(systemd+".Unit", unit, "Kill", "main", int32(1)), asks{"KillUnit", "mysql-prod@a.service", 1}},
		"a session":       {to(logind+".Manager", "/", "TerminateSession", "c21"), asks{member: "TerminateSession", object: "c21"}},
		"one's session":   {to(logind+".Manager", "/", "TerminateSession", ""), asks{member: "TerminateSession"}},
		"a user":          {to(logind+".Manager", "/", "KillUser", uint32(1000), int32(9)), asks{"KillUser", "1000", kill.SIGKILL}},
		"a session's":     {to(logind+".Session", "/org/freedesktop/login1/session/_321", "Kill", "all", int32(9)), asks{"KillSession", "21", kill.SIGKILL}},
		"a user's":        {to(logind+".User", "/org/freedesktop/login1/user/_1000", "Terminate"), asks{member: "TerminateUser", object: "1000"}},
		"a shutdown":      {to(logind+".Manager", "/", "ScheduleShutdown", "reboot", uint32(1)), asks{member: "Reboot"}},
		"shutdown flags":  {to(logind+".Manager", "/", "PowerOffWithFlags", uint32(1)), asks{member: "PowerOff"}},
		"a machine":       {to(machine+".Manager", "/", "KillMachine", "web", "all", int32(15)), asks{"KillMachine", "web", kill.SIGTERM}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, order := range orders {
				for _, destination := range []string{"", test.Interface[:strings.LastIndexByte(test.Interface, '.')], ":1.3"} {
					m := test.message
					m.Destination = destination
					assert.Equal(t, []attribution.Call{test.want.call()}, Parse(m.encode(order)))
				}
			}
		})
	}
}

func TestNoMethods(t *testing.T) {
	t.Parallel()
	reply := toSystemd("StopUnit", "a.service", "replace")
	reply.kind = 2
	other := toSystemd("StopUnit", "a.service", "replace")
	other.Destination = "com.example.Other"
	for name, m := range map[string]message{
		"a question":             toSystemd("GetUnit", "a.service"),
		"a question of a unit":   to(systemd+".Unit", "/org/freedesktop/systemd1/unit/a", "Describe"),
		"a reply":                reply,
		"to another service":     other,
		"of another service":     to("com.example.Manager", "/", "StopUnit", "a.service"),
		"no interface":           to("", "/", "StopUnit", "a.service"),
		"no argument":            toSystemd("StopUnit"),
		"an empty one":           toSystemd("StopUnit", "", "replace"),
		"a number":               toSystemd("EnqueueUnitJob", "a.service", "verify-active", "fail"),
		"another path":           to(systemd+".Unit", "/org/freedesktop/systemd1/job/1", "Stop", "fail"),
		"bytes that no name has": toSystemd("StopUnit", "a\n.service", "fail"),
		"too long":               toSystemd("StopUnit", strings.Repeat("a", 256), "fail"),
		"a dry run":              to(logind+".Manager", "/", "ScheduleShutdown", "dry-reboot", uint32(1)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Empty(t, Parse(m.encode(orders[0])))
		})
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	little := orders[0]
	hello := string(to("org.freedesktop.DBus", "/org/freedesktop/DBus", "Hello").encode(little))
	stop := string(toSystemd("StopUnit", "a.service", "replace").encode(little))
	long := toSystemd("StartTransientUnit", "run-u1.scope", "fail", strings.Repeat("x", 600)).encode(little)
	for name, test := range map[string]struct {
		sent string
		want []asks
	}{
		"nothing":             {},
		"a handshake":         {handshake, nil},
		"a part of one":       {"\x00AUTH EXTER", nil},
		"after a handshake":   {handshake + hello + stop, []asks{{member: "StopUnit", object: "a.service"}}},
		"the rest of one":     {"DATA\r\nBEGIN\r\n" + stop, []asks{{member: "StopUnit", object: "a.service"}}},
		"several":             {stop + hello + stop, []asks{{member: "StopUnit", object: "a.service"}, {member: "StopUnit", object: "a.service"}}},
		"cut behind the unit": {string(long[:512]), []asks{{member: "StartTransientUnit", object: "run-u1.scope"}}},
		"cut before it":       {stop[:len(stop)-20], nil},
		"lines without end":   {strings.Repeat("DATA\r\n", 80), nil},
		"varlink": {
			`{"method":"io.systemd.Unit.Stop","parameters":{"name":"a.service","mode":"replace"}}` + "\x00",
			[]asks{{member: "StopUnit", object: "a.service"}},
		},
		"varlink, a signal": {
			`{"parameters":{"whom":"all","id":"a.service","signal":9,"x":[1,["y"]]},"method":"io.systemd.Unit.KillUnit"}` + "\x00",
			[]asks{{"KillUnit", "a.service", kill.SIGKILL}},
		},
		"varlink, all":      {`{"method":"io.systemd.Manager.Reboot","parameters":{}}` + "\x00", []asks{{member: "Reboot"}}},
		"varlink, several":  {`{"method":"io.systemd.Manager.Halt"}` + "\x00" + `{"method":"io.systemd.Manager.KExec"}`, []asks{{member: "Halt"}, {member: "KExec"}}},
		"varlink, cut":      {`{"method":"io.systemd.Unit.Stop","parameters":{"name":"a.service","mo`, []asks{{member: "StopUnit", object: "a.service"}}},
		"varlink, no name":  {`{"method":"io.systemd.Unit.Stop","parameters":{"other":{"name":"a.service"}}}`, nil},
		"varlink, question": {`{"method":"io.systemd.Unit.List","parameters":{"name":"a.service"}}`, nil},
		"varlink, another":  {`{"method":"com.example.Unit.Stop","parameters":{"name":"a.service"}}`, nil},
		"no varlink":        {`{"method":7}`, nil},
		"docker stop":       {"POST /v1.43/containers/0af3/stop?t=10 HTTP/1.1\r\nHost: docker\r\n\r\n", []asks{{member: "StopContainer", object: "0af3"}}},
		"docker kill":       {"POST /containers/web%2D1/kill?signal=SIGHUP HTTP/1.1\r\n", []asks{{"KillContainer", "web-1", kill.SIGHUP}}},
		"docker rm":         {"DELETE /v1.43/containers/0af3?force=1 HTTP/1.1\r\n", []asks{{member: "RemoveContainer", object: "0af3"}}},
		"podman restart":    {"POST /v4.0.0/libpod/containers/web/restart HTTP/1.1\r\n", []asks{{member: "RestartContainer", object: "web"}}},
		"podman pod":        {"POST /v4.0.0/libpod/pods/web/stop HTTP/1.1\r\n", []asks{{member: "StopPod", object: "web"}}},
		"docker start":      {"POST /v1.43/containers/0af3/start HTTP/1.1\r\n", nil},
		"docker rmi":        {"DELETE /v1.43/images/0af3 HTTP/1.1\r\n", nil},
		"docker ps":         {"GET /v1.43/containers/json HTTP/1.1\r\n", nil},
		"no request":        {"POST", nil},
		"no path":           {"POST %zz HTTP/1.1\r\n", nil},
		"supervisord": {
			"<?xml version='1.0'?>\n<methodCall>\n<methodName>supervisor.stopProcess</methodName>\n<params>\n<param>\n" +
				"<value><string>a&amp;b:web</string></value>\n</param>\n</params>\n</methodCall>\n",
			[]asks{{member: "supervisor.stopProcess", object: "a&b:web"}},
		},
		"supervisord, in one": {
			"POST /RPC2 HTTP/1.1\r\nHost: x\r\n\r\n<?xml version='1.0'?><methodCall><methodName>supervisor.signalProcess</methodName><params>" +
				"<param><value><string>web</string></value></param><param><value><string>HUP</string></value></param>",
			[]asks{{"supervisor.signalProcess", "web", kill.SIGHUP}},
		},
		"supervisord, all":      {"<methodCall><methodName>supervisor.shutdown</methodName>", []asks{{member: "supervisor.shutdown"}}},
		"supervisord, question": {"<methodCall><methodName>supervisor.getState</methodName>", nil},
		"supervisord, no name":  {"<methodCall><methodName>supervisor.stopProcess</methodName><string>we", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var want []attribution.Call
			for _, a := range test.want {
				want = append(want, a.call())
			}
			assert.Equal(t, want, Parse([]byte(test.sent)))
		})
	}
}

// FuzzParse takes any bytes: nothing crashes, and no call says anything that a manager would not take.
func FuzzParse(f *testing.F) {
	for _, order := range orders {
		f.Add(append([]byte(handshake), toSystemd("KillUnit", "a.service", "all", int32(9)).encode(order)...))
		f.Add(to(logind+".Session", "/org/freedesktop/login1/session/_321", "Kill", "all", int32(9)).encode(order))
	}
	f.Add([]byte(`{"method":"io.systemd.Unit.Stop","parameters":{"name":"a.service"}}` + "\x00"))
	f.Add([]byte("POST /v1.43/containers/0af3/kill?signal=9 HTTP/1.1\r\n"))
	f.Add([]byte("<methodCall><methodName>supervisor.stopProcess</methodName><string>web</string>"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		for _, c := range Parse(sent) {
			assert.NotEmpty(t, c.Member)
			assert.LessOrEqual(t, len(c.Object), longestObject)
			assert.True(t, c.Signal >= 0 && c.Signal <= 64)
			assert.NotContains(t, c.Object, "\x00")
		}
	})
}
