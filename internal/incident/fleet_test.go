// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package incident

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// fleet makes what happens on many hosts in a day, and knows what belongs together.
type fleet struct {
	*rand.Rand
	hosts  int
	length time.Duration
	units  []string
	apps   []string
	people []person
	all    []event
	// label is that of the last thing that happened; each single signal is one as well.
	label int
	// big has the labels of those that are incidents.
	big map[int]string
	pid int64
}

// event is a record, what it belongs to, and when it arrives.
type event struct {
	record  *Record
	label   int
	arrives time.Duration
}

// person does one thing after the other: busy are the times of these.
type person struct {
	name, address string
	busy          [][2]time.Duration
}

func newFleet(seed uint64, hosts int, length time.Duration) *fleet {
	f := &fleet{Rand: rand.New(rand.NewPCG(seed, 7)), hosts: hosts, length: length, big: map[int]string{}, pid: 1000} //nolint:gosec // the same in each run
	for n := range 50 {
		f.units = append(f.units, fmt.Sprintf("service-%d.service", n))
	}
	for n := range 60 {
		f.apps = append(f.apps, fmt.Sprintf("app%d-5d8f7c9b6", n))
	}
	for n := range 40 {
		f.people = append(f.people, person{name: fmt.Sprint("person", n), address: fmt.Sprintf("198.51.100.%d", n)})
	}
	for n := range 5 { // control hosts, from which different people use the same account
		f.people = append(f.people, person{name: "deploy", address: fmt.Sprintf("198.51.100.%d", 200+n)})
	}
	return f
}

func (f *fleet) between(low, high float64) time.Duration {
	return time.Duration((low + f.Float64()*(high-low)) * float64(time.Second))
}

func (f *fleet) host() int { return f.IntN(f.hosts) }

func (f *fleet) moment(room time.Duration) time.Duration {
	return time.Duration(f.Int64N(int64(max(f.length-room, time.Minute))))
}

// begin begins something; an empty kind is a single signal.
func (f *fleet) begin(kind string) {
	f.label++
	if kind != "" {
		f.big[f.label] = kind
	}
}

// someone returns a person who has nothing else to do for a while.
func (f *fleet) someone(length time.Duration) (p *person, when time.Duration) {
	for {
		p, when = &f.people[f.IntN(len(f.people))], f.moment(length+3*time.Minute)
		free := true
		for _, b := range p.busy {
			free = free && (when+length+time.Minute < b[0] || when > b[1]+time.Minute)
		}
		if free {
			p.busy = append(p.busy, [2]time.Duration{when, when + length})
			return p, when
		}
	}
}

// tell adds a record of a new process on a host, and sometimes that of a second source; it returns the process.
func (f *fleet) tell(when time.Duration, host int, with ...func(*Record)) int64 {
	f.pid++
	f.tellOf(f.pid, when, host, with...)
	return f.pid
}

func (f *fleet) tellOf(pid int64, when time.Duration, host int, with ...func(*Record)) {
	address := fmt.Sprintf("10.%d.%d.%d", host/62500, host/250%250, 1+host%250)
	r := at(when.Seconds(), fmt.Sprint("host-", host), pid, append([]func(*Record){addresses(address, "172.17.0.1")}, with...)...)
	f.all = append(f.all, event{record: r, label: f.label})
	if host%10 == 3 && r.Outcome == "" {
		again := *r
		again.Time = r.Time.Add(f.between(0.001, 0.02))
		again.Source, again.UID, again.Target.Start = "audit_multicast", "audit of "+r.UID, ""
		f.all = append(f.all, event{record: &again, label: f.label})
	}
}

// die adds how a process ends.
func (f *fleet) die(pid int64, when time.Duration, host int, with ...func(*Record)) {
	if f.IntN(20) > 0 {
		f.tellOf(pid, when+f.between(0.05, 3), host, append(with, outcome("exited", false))...)
		return
	}
	f.tellOf(pid, when+90*time.Second, host, append(with, stopTimeout, nobody)...)
	f.tellOf(pid, when+90*time.Second+f.between(0.01, 0.1), host, append(with, outcome("killed", true))...)
}

// nobody is a signal that a manager sends by itself.
func nobody(r *Record) {
	r.UserName, r.Client, r.Session, r.Requester, r.Initiator = "", "", "", Requester{}, Initiator{}
}

func (f *fleet) rollingRestart(unit string, p *person, when time.Duration, hosts int, pause float64) {
	f.begin("rolling restart")
	first := f.host()
	for n := range hosts {
		host := (first + n) % f.hosts
		f.pid += 3
		with := []func(*Record){
			restart(unit), askedBy(f.pid, "systemctl"), begunBy(f.pid-1, "python3 AnsiballZ_systemd.py", "python3"),
			login(p.name, p.address, fmt.Sprint("s", f.pid)),
		}
		if f.IntN(20) == 0 {
			with = append(with, inferred)
		}
		if f.IntN(50) == 0 { // its login is not known
			with = append(with, func(r *Record) { r.Client, r.Session = "", "" })
		}
		f.die(f.tell(when, host, with...), when, host, with...)
		when += f.between(pause/2, pause*1.5)
	}
}

func (f *fleet) upgrade() {
	f.begin("upgrade by a timer")
	host, when := f.host(), f.moment(5*time.Minute)
	f.pid++
	with := []func(*Record){begunBy(f.pid, "/usr/bin/unattended-upgrade", "unattended-upgr")}
	for range 2 + f.IntN(5) {
		f.pid++
		all := append([]func(*Record){restart(f.units[f.IntN(len(f.units))]), askedBy(f.pid, "systemctl")}, with...)
		f.die(f.tell(when, host, all...), when, host, all...)
		when += f.between(1, 20)
	}
}

func (f *fleet) drain() {
	f.begin("drained node")
	node, when := f.IntN(200), f.moment(3*time.Minute)
	for range 10 + f.IntN(20) {
		with := pod("prod", fmt.Sprint(f.apps[f.IntN(len(f.apps))], "-", f.generated(5)))
		f.die(f.tell(when, node, with), when, node, with)
		when += f.between(0, 2)
	}
}

func (f *fleet) rollout() {
	f.begin("rollout")
	first, app, when := f.host(), f.apps[f.IntN(len(f.apps))], f.moment(5*time.Minute)
	for n := range 5 + f.IntN(45) {
		node := (first + n*7) % 200
		with := pod("prod", fmt.Sprint(app, "-", f.generated(5)))
		f.die(f.tell(when, node, with), when, node, with)
		when += f.between(0.5, 5)
	}
}

func (f *fleet) generated(length int) string {
	const alphabet = "bcdfghjklmnpqrstvwxz2456789"
	name := make([]byte, length)
	for i := range name {
		name[i] = alphabet[f.IntN(len(alphabet))]
	}
	return string(name)
}

func (f *fleet) oomSweep() {
	f.begin("sweep for lack of memory")
	host, when, group := f.host(), f.moment(2*time.Minute), fmt.Sprint("/slice-", f.IntN(9))
	for range 3 + f.IntN(200) {
		f.tell(when, host, oom(group))
		when += f.between(0, 0.5)
	}
}

func (f *fleet) reboot() {
	f.begin("reboot")
	p, when := f.someone(20 * time.Second)
	host := f.host()
	f.pid++
	asked, who := askedBy(f.pid, "systemctl"), login(p.name, p.address, fmt.Sprint("s", f.pid))
	for range 10 + f.IntN(30) {
		unit := f.units[f.IntN(len(f.units))]
		f.tell(when, host, restart(unit), asked, who, func(r *Record) { r.Cause = "shutdown" })
		when += f.between(0, 0.4)
	}
}

func (f *fleet) attack() {
	f.begin("attacker who hops")
	host, when, account, from := f.host(), f.moment(5*time.Minute), fmt.Sprint("svc", f.label), "203.0.113.77"
	for range 4 + f.IntN(5) {
		for range 1 + f.IntN(5) {
			f.pid++
			f.tell(when, host, sentBy(f.pid, "kill", "0"), login(account, from, fmt.Sprint("s", f.label, "-", host)))
			when += f.between(0.1, 3)
		}
		from = fmt.Sprintf("10.%d.%d.%d", host/62500, host/250%250, 1+host%250)
		host = f.host()
		when += f.between(3, 20)
	}
}

func (f *fleet) crashes() {
	f.begin("crash on many hosts")
	unit, when := f.units[f.IntN(len(f.units))], f.moment(time.Minute)
	for range 10 + f.IntN(50) {
		f.tell(when, f.host(), func(r *Record) {
			r.Cause, r.SignalNumber, r.SignalName, r.Target.Unit = "crash", 11, "SIGSEGV", unit
		})
		when += f.between(0, 1)
	}
}

func (f *fleet) cleanup(kind string) {
	f.begin(kind)
	host, when := f.host(), f.moment(time.Minute)
	f.pid++
	script := begunBy(f.pid, "/bin/sh /opt/cleanup.sh", "sh")
	for range 2 + f.IntN(6) {
		f.pid++
		with := []func(*Record){sentBy(f.pid, "pkill", "0"), script}
		f.die(f.tell(when, host, with...), when, host, with...)
		when += f.between(0, 5)
	}
}

func (f *fleet) byHand() {
	f.begin("kills by hand")
	p, when := f.someone(40 * time.Second)
	host := f.host()
	f.pid++
	session := fmt.Sprint("s", f.pid)
	for range 2 + f.IntN(5) {
		f.pid++
		f.tell(when, host, sentBy(f.pid, "kill", "1000"), login(p.name, p.address, session))
		when += f.between(0.5, 8)
	}
}

// noise is a single signal, of which an operator wants no incident.
func (f *fleet) noise() {
	f.begin("")
	host, when, unit := f.host(), f.moment(time.Minute), f.units[f.IntN(len(f.units))]
	f.pid++
	switch n := f.IntN(1000); {
	case n < 600: // a service ends a process of its own
		service := fmt.Sprint("own-", f.IntN(20), ".service")
		f.tell(when, host, sentBy(f.pid, "postgres", "999"), func(r *Record) { r.Sender.Unit, r.Target.Unit, r.Target.Name = service, service, "postgres" })
	case n < 610:
		f.tell(when, host, restart(unit), nobody, func(r *Record) { r.Cause = "watchdog" })
	case n < 620:
		f.tell(when, host, oom("/system.slice/"+unit))
	case n < 650:
		var p *person
		p, when = f.someone(5 * time.Second)
		f.die(f.tell(when, host, restart(unit), askedBy(f.pid, "systemctl"), login(p.name, p.address, fmt.Sprint("s", f.pid))), when, host,
			restart(unit), askedBy(f.pid, "systemctl"), login(p.name, p.address, fmt.Sprint("s", f.pid)))
	case n < 850: // a program of a user, of any name
		f.tell(when, host, sentBy(f.pid, "bash", "1000"), func(r *Record) { r.UserID, r.Session = "1000", fmt.Sprint("s", f.pid) })
	case n < 950:
		f.tell(when, host, restart("user@1000.service"), func(r *Record) {
			r.Sender.UserID, r.Target.Unit, r.Target.Cgroup = "1000", unit, "/user.slice/user-1000.slice/"+unit
		})
	default:
		f.tell(when, host, func(r *Record) { r.Cause, r.SignalNumber, r.SignalName = "crash", 11, "SIGSEGV" })
	}
}

// day is what happens in a day on 10,000 hosts; share is which part of that.
func (f *fleet) day(share float64) {
	times := func(n int, what func()) {
		for range max(1, int(float64(n)*share)) {
			what()
		}
	}
	times(200, func() {
		hosts, pause := 10+f.IntN(190), 0.5+f.Float64()*7
		p, when := f.someone(time.Duration(float64(hosts)*pause*1.1)*time.Second + 2*time.Minute)
		f.rollingRestart(f.units[f.IntN(len(f.units))], p, when, hosts, pause)
	})
	times(30, func() { // two people restart the same unit at the same time
		unit := f.units[f.IntN(len(f.units))]
		p, when := f.someone(4 * time.Minute)
		f.rollingRestart(unit, p, when, 20, 2)
		other := &f.people[f.IntN(len(f.people))]
		for other == p || other.name == p.name {
			other = &f.people[f.IntN(len(f.people))]
		}
		twin := person{name: other.name + "b", address: "192.0.2.1"}
		f.rollingRestart(unit, &twin, when+f.between(0, 20), 20, 2)
	})
	times(1000, f.upgrade)
	times(150, f.drain)
	times(150, f.rollout)
	times(100, f.oomSweep)
	times(200, f.reboot)
	times(5, f.attack)
	times(20, f.crashes)
	times(1000, func() { f.cleanup("script of a timer") })
	times(300, f.byHand)
	times(50_000, f.noise)
}

// send says when each record arrives: some again, and those of some hosts up to an hour late.
func (f *fleet) send() {
	late := map[string]time.Duration{}
	for n := range len(f.all) {
		e := &f.all[n]
		when := e.record.Time.Sub(noon)
		delay, known := late[e.record.HostID]
		if !known {
			if f.IntN(100) == 0 {
				delay = f.between(60, 3500)
			}
			late[e.record.HostID] = delay
		}
		e.arrives = when + f.between(0, 2)
		if delay > 0 { // the host delivers each hour's records at its end, as far as it was cut off
			e.arrives = when.Truncate(time.Hour) + max(delay, when-when.Truncate(time.Hour)) + f.between(0, 2)
		}
		if f.IntN(50) == 0 {
			again := *e
			again.arrives += f.between(0, 30)
			f.all = append(f.all, again)
		}
	}
}
