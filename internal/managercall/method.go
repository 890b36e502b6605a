// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package managercall

import (
	"strconv"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
)

// Method is a method call of D-Bus.
type Method struct {
	// Destination is the name of the service; empty without a bus.
	Destination             string
	Path, Interface, Member string
	// Arguments are the first ones: a string or an int64 each.
	Arguments []any
}

// The services that are asked for what ends in a signal.
const (
	systemd = "org.freedesktop.systemd1"
	logind  = "org.freedesktop.login1"
	machine = "org.freedesktop.machine1"
)

// shape says where the parts of a call are among its arguments; -1 is nowhere.
type shape struct{ object, signal int }

var (
	ofAll   = shape{-1, -1}
	ofFirst = shape{0, -1}
)

// managers are the methods of the interface Manager of each service.
var managers = map[string]map[string]shape{
	systemd: {
		"StartUnit": ofFirst, "StartUnitWithFlags": ofFirst, "StartUnitReplace": {1, -1}, "StartTransientUnit": ofFirst,
		"StopUnit": ofFirst, "ReloadUnit": ofFirst, "RestartUnit": ofFirst, "TryRestartUnit": ofFirst,
		"ReloadOrRestartUnit": ofFirst, "ReloadOrTryRestartUnit": ofFirst, "EnqueueUnitJob": ofFirst,
		"EnqueueMarkedJobs": ofAll,
		"KillUnit":          {0, 2}, "KillUnitSubgroup": {0, 3}, "QueueSignalUnit": {0, 2},
		"Exit": ofAll, "Reboot": ofAll, "SoftReboot": ofAll, "PowerOff": ofAll, "Halt": ofAll, "KExec": ofAll, "SwitchRoot": ofAll,
	},
	logind: {
		"TerminateSession": ofFirst, "TerminateUser": ofFirst, "TerminateSeat": ofFirst,
		"KillSession": {0, 2}, "KillUser": {0, 1},
		"PowerOff": ofAll, "PowerOffWithFlags": ofAll, "Reboot": ofAll, "RebootWithFlags": ofAll,
		"Halt": ofAll, "HaltWithFlags": ofAll, "ScheduleShutdown": ofFirst,
	},
	machine: {"TerminateMachine": ofFirst, "KillMachine": {0, 2}},
}

// class is what has an interface of its own. Its methods are those of the manager, with its name at the end.
type class struct {
	service, name, folder string
	// methods say which argument is the signal.
	methods map[string]int
}

var ending = map[string]int{"Terminate": -1}

var classes = []class{
	{systemd, "Unit", "/org/freedesktop/systemd1/unit/", map[string]int{
		"Start": -1, "Stop": -1, "Reload": -1, "Restart": -1, "TryRestart": -1, "ReloadOrRestart": -1, "ReloadOrTryRestart": -1,
		"EnqueueJob": -1, "Kill": 1, "KillSubgroup": 2, "QueueSignal": 1,
	}},
	{logind, "Session", "/org/freedesktop/login1/session/", map[string]int{"Terminate": -1, "Kill": 1}},
	{logind, "User", "/org/freedesktop/login1/user/", map[string]int{"Terminate": -1, "Kill": 0}},
	{logind, "Seat", "/org/freedesktop/login1/seat/", ending},
	{machine, "Machine", "/org/freedesktop/machine1/machine/", map[string]int{"Terminate": -1, "Kill": 1}},
}

// jobs are the methods that enqueue a job of a type (EnqueueUnitJob).
var jobs = map[string]string{
	"start": "StartUnit", "stop": "StopUnit", "reload": "ReloadUnit", "restart": "RestartUnit", "try-restart": "TryRestartUnit",
	"reload-or-start": "ReloadOrRestartUnit", "try-reload": "ReloadUnit",
}

// shutdowns are the methods of the types of ScheduleShutdown.
var shutdowns = map[string]string{
	"poweroff": "PowerOff", "reboot": "Reboot", "halt": "Halt", "kexec": "KExec", "soft-reboot": "SoftReboot",
}

// Call returns the call that a method makes; nil if it explains no signal, or if too little of it is known.
func (m *Method) Call() *attribution.Call {
	service, of := m.service()
	if service == "" {
		return nil
	}
	if of == "Manager" {
		parts, known := managers[service][m.Member]
		if !known {
			return nil
		}
		return m.of(parts)
	}
	for _, c := range classes {
		signal, known := c.methods[m.Member]
		object, under := strings.CutPrefix(m.Path, c.folder)
		if c.service == service && c.name == of && known && under {
			if c.name == "User" { // whose objects have _ and the number
				object = strings.TrimPrefix(object, "_")
			} else {
				object = unescape(object)
			}
			return m.call(m.Member+c.name, object, signal, 0)
		}
	}
	return nil
}

// service returns the service that is called, and the last part of its interface. A bus hands on what is
// meant for a connection of a number, which may be the service's.
func (m *Method) service() (service, of string) {
	at := strings.LastIndexByte(m.Interface, '.')
	if at < 0 {
		return "", ""
	}
	service, of = m.Interface[:at], m.Interface[at+1:]
	if m.Destination != "" && m.Destination != service && m.Destination[0] != ':' {
		return "", ""
	}
	return service, of
}

func (m *Method) of(parts shape) *attribution.Call {
	member := strings.TrimSuffix(m.Member, "WithFlags")
	if parts.object < 0 {
		return &attribution.Call{Member: member}
	}
	object, known := m.text(parts.object)
	if !known {
		return nil
	}
	return m.call(member, object, parts.signal, 1)
}

// call returns a call of an object. job is the argument that names the type of a job, if there is one.
func (m *Method) call(member, object string, signal, job int) *attribution.Call {
	c := &attribution.Call{Member: member, Object: object}
	switch member {
	case "ScheduleShutdown":
		c.Member, c.Object = shutdowns[object], ""
	case "EnqueueUnitJob", "EnqueueJobUnit":
		kind, _ := m.text(job)
		c.Member = jobs[kind]
	}
	if signal >= 0 && signal < len(m.Arguments) {
		number, _ := m.Arguments[signal].(int64)
		c.Signal = signalOf(number)
	}
	if c.Member == "" || object == "" && !strings.HasSuffix(member, "Session") && !strings.HasSuffix(member, "Seat") {
		return nil
	}
	return c
}

// text returns an argument as text.
func (m *Method) text(index int) (string, bool) {
	if index >= len(m.Arguments) {
		return "", false
	}
	switch v := m.Arguments[index].(type) {
	case string:
		return v, true
	case int64:
		return strconv.FormatInt(v, 10), true
	}
	return "", false
}

// unescape returns the name that a part of an object's path stands for (sd_bus_path_encode(3)).
func unescape(label string) string {
	if label == "_" {
		return ""
	}
	text := make([]byte, 0, len(label))
	for i := 0; i < len(label); i++ {
		if label[i] == '_' && i+2 < len(label) {
			if code, err := strconv.ParseUint(label[i+1:i+3], 16, 8); err == nil {
				text = append(text, byte(code))
				i += 2
				continue
			}
		}
		text = append(text, label[i])
	}
	return string(text)
}
