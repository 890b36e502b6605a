// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// TestManyRequesters has somebody turn to systemd as very many users while alice, whom polkit lets do so, stops a service.
func TestManyRequesters(t *testing.T) {
	t.Parallel()
	const first, bob = 1000, 1001
	onBus := func(p *kill.Process) Fact {
		f := connects(ms, p)
		f.Request.Socket = "/run/dbus/system_bus_socket"
		return f
	}
	inside := func(p *kill.Process, container string) *kill.Process {
		p.Home.Program, p.Instance.Container = kill.WhoseOther, container
		return p
	}
	for name, ask := range map[string]func(n int) (*kill.Process, Fact){
		"as his sub-uids": func(n int) (*kill.Process, Fact) {
			p := process(first+n, "x", uint32(100_000+n), bob, "/user.slice/user-1001.slice/session-18.scope")
			return p, onBus(p)
		},
		"without a login": func(n int) (*kill.Process, Fact) {
			p := process(first+n, "x", uint32(100_000+n), nobody, "/system.slice/www.service")
			return p, onBus(p)
		},
		"of a service, for logins of its choice": func(n int) (*kill.Process, Fact) {
			p := process(first+n, "x", 33, uint32(1000+n), "/system.slice/www.service")
			return p, onBus(p)
		},
		"of a container, whose bus has them all call": func(n int) (*kill.Process, Fact) {
			p := inside(process(first+n, "x", uint32(100_000+n), nobody, "/docker/x"), "x")
			f := stops(ms, p, "a.service")
			f.Request.Manager, f.Request.Requester = 50, *p
			return p, f
		},
		"of very many containers of his": func(n int) (*kill.Process, Fact) {
			container := strconv.Itoa(n)
			p := inside(process(first+n, "x", uint32(100_000+n), bob, "/docker/"+container), container)
			f := stops(ms, p, "a.service")
			f.Request.Manager, f.Request.Requester = 50+n, *p
			return p, f
		},
		"as her in very many containers": func(n int) (*kill.Process, Fact) {
			container := strconv.Itoa(n)
			p := inside(process(first+n, "x", 1000, nobody, "/docker/"+container), container)
			f := stops(ms, p, "a.service")
			f.Request.Manager, f.Request.Requester = 50+n, *p
			return p, f
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alice := process(10, "systemctl stop mariadb", 1000, 1000, "/user.slice/user-1000.slice/session-17.scope", bash, sshd)
			all, noise := []*kill.Process{alice}, []Fact{}
			for n := range 2 * maxRequesters {
				p, f := ask(n)
				all, noise = append(all, p), append(noise, f)
			}
			table := tableOf(true, all...)
			learn(table, []Fact{stops(0, alice, "mariadb.service")})
			learn(table, noise)
			learn(table, []Fact{begins(2*ms, 7, "stop", "mariadb.service")})
			assert.Equal(t, 10, askedBy(explain(table, sends(3*ms, kill.SIGTERM, ofUnit(5932, "mariadbd", "mariadb.service")))))
			assert.LessOrEqual(t, len(table.requests), maxRequesters)
		})
	}
}
