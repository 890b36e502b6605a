// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// What service managers do in the simulated fleet, and who has asked them for it.

const (
	systemd = "/usr/lib/systemd/systemd"
	shim    = "/usr/bin/containerd-shim-runc-v2"
	// mariadb is the service that Ansible restarts on all hosts.
	mariadb = "mariadb.service"
)

// managed returns changes of a signal that systemd sends to a process of a unit. An empty unit, cause or
// evidence stands for one that is not known.
func managed(unit, cause, evidence string, more ...map[string]any) map[string]any {
	changes := by(systemd, "", sigterm)
	for name, value := range map[string]string{
		"kill.target.systemd.unit": unit, "kill.cause": cause, "kill.evidence": evidence, "kill.sender.audit.user.id": "",
	} {
		changes[name] = nil
		if value != "" {
			changes[name] = value
		}
	}
	for _, m := range more {
		maps.Copy(changes, m)
	}
	return changes
}

// asked returns changes that name a requester, and the login user behind it; an empty one has none.
func asked(login, name, title string) map[string]any {
	changes := map[string]any{"kill.requester.pid": 6000, "kill.requester.name": name, "kill.requester.title": title}
	if login != "" {
		changes["user.id"], changes["user.name"] = logins[login], login
	}
	return changes
}

// stops returns changes that name a systemctl that stops a unit.
func stops(login, unit string) map[string]any {
	return asked(login, "systemctl", "systemctl stop "+unit)
}

// stopsContainer returns changes of a signal with which a manager stops a container.
func stopsContainer(evidence string) map[string]any {
	return map[string]any{"kill.cause": "container_stop", "kill.evidence": evidence, "kill.target.container.id": "4f1c", "kill.sender.audit.user.id": nil}
}

// begun returns changes that name an initiator.
func begun(name, title string) map[string]any {
	return map[string]any{"kill.initiator.pid": 5900, "kill.initiator.name": name, "kill.initiator.title": title}
}

// session returns changes that name a login; an empty address stands for a local one.
func session(id int, service, login, address string) map[string]any {
	changes := map[string]any{
		"user.id": logins[login], "user.name": login,
		"kill.session.id": strconv.Itoa(id), "kill.session.service": service, "kill.session.user.name": login,
	}
	if address != "" {
		changes["client.address"] = address
	}
	return changes
}

// ofAnsible returns changes of the restart that alice has Ansible do on a host. Its command line is another one on
// each host.
func ofAnsible(host int) map[string]any {
	return managed(mariadb, "service_restart", "inferred", to("mariadbd", 2100+host),
		session(100+host, "sshd", "alice", "10.0.0.5"), asked("alice", "systemctl", "systemctl restart mariadb"),
		begun("sudo", fmt.Sprintf("sudo -H -S -n -u root /bin/sh -c echo BECOME-SUCCESS-%d ; /usr/bin/python3", host)))
}

// ended returns the changes of an outcome that is no escalation.
func ended(changes map[string]any) map[string]any {
	changes["kill.escalated"] = false
	return changes
}

// aptGet says that somebody upgrades a host.
var aptGet = begun("apt-get", "apt-get upgrade")

// onThree returns an event on each of the hosts 10, 11 and 12, at the same time.
func onThree(ago time.Duration, changes func(host int) map[string]any) []fleetEvent {
	var events []fleetEvent
	for host := 10; host <= 12; host++ {
		events = append(events, fleetEvent{host, ago, "ebpf", changes(host)})
	}
	return events
}

// behindEvents returns what service managers do. No program, user or unit but mariadb.service is in more than
// one scene.
func behindEvents() []fleetEvent {
	const s, m = time.Second, time.Minute
	events := []fleetEvent{
		// Who killed mysqld? Somebody stops it, and systemd is too late for one of its processes.
		{8, 16 * m, "ebpf", managed("mysqld.service", "service_stop", "inferred", to("mysqld", 2000), stops("gina", "mysqld"))},
		{8, 16 * m, "ESRCH", managed("mysqld.service", "service_stop", "inferred", to("mysqld", 2001), stops("gina", "mysqld"))},

		// Who stopped mariadb.service? Ansible on 40 hosts (below), and root's cron on one.
		{5, 50 * m, "ebpf", managed(
			mariadb, "service_restart", "observed", to("mariadbd", 2002), session(7, "cron", "root", ""),
			asked("root", "systemctl", "systemctl restart mariadb"), begun("nightly.sh", "/bin/sh /opt/nightly.sh"), storm(3),
		)},
		// What is left of it is not asked for, what comes later is an outcome or ignored, and this is another unit.
		{6, 50 * m, "ebpf", managed(mariadb, "main_process_end", "observed", to("mariadbd", 2003))},
		{6, 49 * m, "escalated", ended(ofAnsible(6))},
		{7, 49 * m, "ignored", ofAnsible(7)},

		// What did automation stop? Somebody upgrades a host, one is configured by Ansible as root, two upgrade themselves.
		{19, 40 * m, "ebpf", managed(
			"cron.service", "service_restart", "inferred", to("cron", 2010), asked("oscar", "systemctl", "systemctl restart cron"), aptGet,
		)},
		{19, 41 * m, "escalated", ended(managed("atd.service", "service_restart", "inferred", to("atd", 2011), aptGet))},
		{19, 41 * m, "ignored", managed("atd.service", "service_restart", "inferred", to("atd", 2012), aptGet)},
		{22, 40 * m, "ebpf", managed(
			"ntp.service", "service_restart", "observed", to("ntpd", 2015), asked("root", "systemctl", "systemctl restart ntp"),
			begun("python3", "/usr/bin/python3 /root/.ansible/tmp/ansible-tmp-1/AnsiballZ_systemd.py"),
		)},
		{20, 40 * m, "ebpf", managed(
			"ssh.service", "service_restart", "observed", to("sshd", 2013), asked("", "systemctl", "systemctl restart ssh"),
			begun("unattended-upgr", "/usr/bin/python3 /usr/bin/unattended-upgrade"),
		)},
		{21, 33 * m, "ebpf", managed(
			"ssh.service", "service_restart", "observed", to("sshd", 2014), asked("", "systemctl", "systemctl restart ssh"),
			begun("unattended-upgr", "/usr/bin/python3 /usr/bin/unattended-upgrade"),
		)},

		// What did a manager kill because a time was up?
		{15, 15 * m, "ebpf", managed("api.service", "watchdog", "observed", to("api", 2020), sigabrt, storm(2))},
		{16, 15 * m, "ebpf", managed("web.service", "start_timeout", "observed", to("web", 2021))},
		{17, 15 * m, "ebpf", managed("db.service", "stop_timeout", "observed", to("db", 2022), sigkill)},
		{18, 15 * m, "ebpf", managed("batch.service", "runtime_limit", "observed", to("batch", 2023))},
		{15, 14 * m, "ignored", managed("api.service", "watchdog", "observed", to("api", 2024), sigabrt)},
		{15, 14 * m, "escalated", ended(managed("api.service", "watchdog", "observed", to("api", 2020), sigabrt))},

		// A user has systemd stop services of different names on three hosts within five minutes, ...
		{13, 9*m + 10*s, "ebpf", bySam(13)},
		{14, 8 * m, "ebpf", bySam(14)},
		{15, 4*m + 15*s, "ebpf", bySam(15)},
		// ... and nobody knows who stops the same one.
		{13, 9*m + 10*s, "ebpf", managed("cache.service", "service_stop", "observed", to("cached", 2031))},
		{14, 8 * m, "ebpf", managed("cache.service", "service_stop", "observed", to("cached", 2031))},
		{15, 4*m + 15*s, "ebpf", managed("cache.service", "service_stop", "observed", to("cached", 2031))},
		// In more than five minutes, ...
		{13, 10 * m, "ebpf", byTess()},
		{14, 7 * m, "ebpf", byTess()},
		{15, 4*m - 10*s, "ebpf", byTess()},
		// ... on only two hosts, but several times, ...
		{13, 9 * m, "ebpf", byVera(2033)},
		{14, 9 * m, "ebpf", byVera(2033)},
		{14, 8 * m, "ebpf", byVera(2034)},
		// ... ignored on one of three, ...
		{10, 9 * m, "ebpf", byWill()},
		{11, 9 * m, "ebpf", byWill()},
		{12, 9 * m, "ignored", byWill()},
		// ... and long before its outcome on one of three.
		{10, 10 * m, "ebpf", byXena()},
		{11, 10 * m, "ebpf", byXena()},
		{12, 17 * m, "ebpf", byXena()},
		{12, 10 * m, "escalated", ended(byXena())},
		// More than an hour ago.
		{36, 70 * m, "ebpf", byRuth(36)},
		{37, 70 * m, "ebpf", byRuth(37)},
		{38, 70 * m, "ebpf", byRuth(38)},
		{36, 70 * m, "ebpf", ofAnsible(36)},
		{36, 70 * m, "ebpf", managed("api.service", "watchdog", "observed", to("api", 2041), sigabrt)},
	}
	// Ansible restarts mariadb within three minutes.
	for host := 1; host < fleetSize; host++ {
		if host != silentHost {
			events = append(events, fleetEvent{host, 26*m - time.Duration(host)*4*s, "ebpf", ofAnsible(host)})
		}
	}
	for _, scene := range [][]fleetEvent{
		// One whom only the initiator, or only the user, tells from others.
		onThree(13*m, func(host int) map[string]any {
			unit := fmt.Sprintf("sync-%d.service", host)
			return managed(unit, "service_stop", "observed", to("syncd", 2050), stops("", unit), begun("sync-agent", "/opt/bin/sync-agent"))
		}),
		onThree(13*m, func(host int) map[string]any {
			unit := fmt.Sprintf("uma-%d.service", host)
			return managed(unit, "service_stop", "inferred", to("umad", 2051), stops("uma", unit))
		}),
		// Somebody has containerd stop containers; what the kubelet has it stop is nobody's doing.
		onThree(13*m, func(int) map[string]any {
			return by(shim, "", to("nginx", 2065), sigterm, stopsContainer("observed"), asked("yara", "ctr", "ctr tasks kill web"),
				begun("sudo", "sudo ctr tasks kill web"), map[string]any{"client.address": "10.0.0.11"})
		}),
		onThree(13*m, func(int) map[string]any {
			return by(shim, "", to("redis", 2066), sigterm, stopsContainer("observed"), asked("", "kubelet", "kubelet"))
		}),
		// Nothing tells these from others: each service has stopped another one.
		onThree(13*m, func(host int) map[string]any {
			unit := fmt.Sprintf("own-%d.service", host)
			return managed(unit, "service_stop", "observed", to("ownd", 2052), stops("", unit))
		}),
		// These do it themselves, each with a program of its own.
		onThree(13*m, func(host int) map[string]any {
			return by(fmt.Sprintf("/opt/bin/self-%d", host), "", to("selfd", 2053), begun("cleanup.sh", "/bin/sh /opt/cleanup.sh"))
		}),
		// systemctl kill, with and without one of the signals with which programs are reloaded.
		onThree(13*m, func(int) map[string]any {
			return managed("proxy.service", "service_kill", "observed", to("proxy", 2054), sigkill)
		}),
		onThree(13*m, func(int) map[string]any { return byRotate("hup", 2055, signal("SIGHUP", 1)) }),
		onThree(13*m, func(int) map[string]any { return byRotate("usr1", 2056, signal("SIGUSR1", 10)) }),
		onThree(13*m, func(int) map[string]any { return byRotate("usr2", 2057, signal("SIGUSR2", 12)) }),
		// Nobody stops these: their main process has ended, the host shuts down, a user has logged out.
		onThree(13*m, func(int) map[string]any {
			return managed("rest.service", "main_process_end", "observed", to("rest", 2058))
		}),
		onThree(13*m, func(int) map[string]any { return managed("bus.service", "shutdown", "observed", to("bus", 2059)) }),
		onThree(13*m, func(host int) map[string]any {
			return managed(fmt.Sprintf("session-%d.scope", 200+host), "session_end", "inferred", to("screen", 2060),
				session(200+host, "sshd", "nora", "10.0.0.7"))
		}),
		onThree(13*m, func(int) map[string]any {
			return managed("user@1013.service", "service_stop", "observed", to("agent", 2061))
		}),
		onThree(13*m, func(int) map[string]any { return managed("", "service_stop", "observed", to("unknown", 2062)) }),
		// The user is who ends the session of another one, or else whose session is ended.
		onThree(13*m, func(host int) map[string]any {
			return managed(fmt.Sprintf("session-%d.scope", 300+host), "session_kill", "observed", to("tmux", 2063),
				asked("pat", "loginctl", "loginctl terminate-user rob"))
		}),
		onThree(13*m, func(host int) map[string]any {
			return managed(fmt.Sprintf("session-%d.scope", 400+host), "session_kill", "observed", to("tmux", 2064),
				map[string]any{"user.id": logins["quinn"], "user.name": "quinn"})
		}),
		// The kernel has signaled what was in somebody's terminal, a child of his parent's, or in his pid namespace.
		onThree(13*m, func(int) map[string]any { return ofKey() }),
		onThree(13*m, func(int) map[string]any { return byKernel("parent_death", "adam", 2071) }),
		onThree(13*m, func(int) map[string]any { return byKernel("pid_namespace_end", "ben", 2072) }),
	} {
		events = append(events, scene...)
	}
	return events
}

// incident returns what raises alerts: Ansible restarts mariadb on 40 hosts, and a watchdog strikes. What else happens does
// not: cron restarts mariadb on one host, a user logs out of three, which also ends the user's managers, and three shut down.
func incident() []fleetEvent {
	const s = time.Second
	events := []fleetEvent{
		{5, 50 * s, "ebpf", managed(
			mariadb, "service_restart", "observed", to("mariadbd", 2002), session(7, "cron", "root", ""),
			asked("root", "systemctl", "systemctl restart mariadb"), begun("nightly.sh", "/bin/sh /opt/nightly.sh"),
		)},
		{15, 15 * s, "ebpf", managed("api.service", "watchdog", "observed", to("api", 2020), sigabrt)},
	}
	for host := 1; host < fleetSize; host++ {
		if host != silentHost {
			events = append(events, fleetEvent{host, time.Duration(host) * s, "ebpf", ofAnsible(host)})
		}
	}
	return slices.Concat(events,
		onThree(5*s, func(host int) map[string]any {
			return managed(fmt.Sprintf("session-%d.scope", 200+host), "session_end", "inferred", to("screen", 2060),
				session(200+host, "sshd", "nora", "10.0.0.7"))
		}),
		onThree(4*s, func(int) map[string]any {
			return managed("user@1013.service", "service_stop", "observed", to("agent", 2061))
		}),
		onThree(3*s, func(int) map[string]any { return managed("bus.service", "shutdown", "observed", to("bus", 2059)) }),
		onThree(4*s, func(int) map[string]any { return byKernel("parent_death", "nora", 2071) }),
	)
}

// byKernel returns changes of a signal of the kernel that has to do with a login and the process of a program.
func byKernel(cause, login string, pid int) map[string]any {
	return by("/opt/bin/"+cause, login, to("inner", pid), sigterm,
		map[string]any{"kill.origin": "kernel", "kill.cause": cause, "kill.syscall": nil})
}

// ofKey returns changes of a signal for a key on a terminal, which has no sender.
func ofKey() map[string]any {
	return with(byKernel("terminal_key", "zoe", 2070), map[string]any{
		"process.pid": nil, "process.command": nil, "process.executable.path": nil, "process.executable.name": nil,
	})
}

func signal(name string, number int) map[string]any {
	return map[string]any{"kill.signal.name": name, "kill.signal.number": number}
}

var sigkill, sigabrt = signal("SIGKILL", 9), signal("SIGABRT", 6)

func bySam(host int) map[string]any {
	unit := fmt.Sprintf("sam-%d.service", host)
	return managed(unit, "service_stop", "observed", to("samd", 2030), stops("sam", unit), begun("sudo", "sudo systemctl stop "+unit),
		map[string]any{"client.address": "10.0.0.6"})
}

func byTess() map[string]any {
	return managed("slow.service", "service_stop", "observed", to("slowd", 2032), stops("tess", "slow"))
}

func byVera(pid int) map[string]any {
	return managed("pair.service", "service_stop", "observed", to("paird", pid), stops("vera", "pair"))
}

func byWill() map[string]any {
	return managed("vain.service", "service_stop", "observed", to("vaind", 2035), stops("will", "vain"))
}

func byXena() map[string]any {
	return managed("late.service", "service_stop", "observed", to("lated", 2036), stops("xena", "late"))
}

func byRuth(host int) map[string]any {
	return managed("ago.service", "service_stop", "observed", to("agod", 2040), session(500+host, "sshd", "ruth", "10.0.0.8"),
		stops("ruth", "ago"), aptGet)
}

func byRotate(name string, pid int, number map[string]any) map[string]any {
	return managed(name+".service", "service_kill", "observed", to(name+"d", pid), number,
		asked("", "systemctl", "systemctl kill "+name), begun("rotate-"+name, "/bin/sh /opt/rotate-"+name))
}

// ansible returns an answer of a row for each host on which Ansible has restarted mariadb, and of other rows.
func ansible(row func(host int) string, others tally) tally {
	answer := maps.Clone(others)
	for host := 1; host < fleetSize; host++ {
		if host != silentHost {
			answer[row(host)] = 1
		}
	}
	return answer
}
