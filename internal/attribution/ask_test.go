// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func TestAsksOf(t *testing.T) {
	tests := map[string]ask{
		"systemctl stop mariadb":                        {verb: verbStop, about: []string{"mariadb"}, waits: true},
		"/bin/systemctl --no-block restart a.service b": {verb: verbRestart, about: []string{"a.service", "b"}},
		"systemctl -M box --signal KILL kill mariadb":   {verb: verbKill, about: []string{"mariadb"}, elsewhere: true},
		"systemctl -s 9 kill mariadb":                   {verb: verbKill, about: []string{"mariadb"}},
		"systemctl -sKILL kill mariadb":                 {verb: verbKill, about: []string{"mariadb"}},
		"systemctl kill -qs KILL mariadb":               {verb: verbKill, about: []string{"mariadb"}},
		"systemctl kill --sig KILL mariadb":             {verb: verbKill, about: []string{"mariadb"}},
		"systemctl -Mbox stop mariadb":                  {verb: verbStop, about: []string{"mariadb"}, waits: true, elsewhere: true},
		"systemctl --legend no stop mariadb":            {verb: verbStop, about: []string{"mariadb"}, waits: true},
		"systemctl --check-inhibitors no poweroff":      {verb: verbShutdown, about: []string{}},
		"systemctl reboot --when 23:00":                 {verb: verbNone, about: nil},
		"systemctl reboot --when=23:00":                 {verb: verbNone, about: nil},
		"shutdown -r 0 Reboot":                          {verb: verbShutdown, about: nil},
		"shutdown -r +0 Reboot":                         {verb: verbShutdown, about: nil},
		"shutdown -r +1":                                {verb: verbNone, about: nil},
		"init 6":                                        {verb: verbShutdown, about: nil},
		"init 3":                                        {verb: verbNone, about: nil},
		"/usr/bin/docker-compose down":                  {verb: verbStop, about: []string{}, loose: true, waits: true},
		"/usr/libexec/docker/cli-plugins/docker-compose compose -f x.yaml stop -t5 db": {
			verb: verbStop, about: []string{"db"}, loose: true, waits: true,
		},
		"docker compose -p shop up --wait db":                 {verb: verbUnknown, about: nil},
		"docker compose rm -f -s db":                          {verb: verbStop, about: []string{"db"}, loose: true, waits: true},
		"docker compose -f x.yaml -p shop kill -s HUP db":     {verb: verbKill, about: []string{"db"}, loose: true, waits: true},
		"docker rm -lf web":                                   {verb: verbStop, about: []string{"web"}, waits: true},
		"podman stop -l -t 5":                                 {verb: verbStop, about: []string{}, waits: true},
		"podman --runtime crun stop web":                      {verb: verbStop, about: []string{"web"}, waits: true},
		"docker --tlscacert ca.pem stop web":                  {verb: verbStop, about: []string{"web"}, waits: true},
		"docker compose ls":                                   {verb: verbNone, about: nil},
		"supervisorctl -r /tmp/h stop web":                    {verb: verbStop, about: []string{"web"}, waits: true},
		"shutdown -t 5 now":                                   {verb: verbShutdown, about: nil},
		"systemctl restart --wait mariadb":                    {verb: verbRestart, about: []string{"mariadb"}, waits: true},
		"systemctl stop --marked":                             {verb: verbStop, about: []string{}, waits: true},
		"machinectl kill -s HUP box":                          {verb: verbKill, about: []string{"machine-box.scope", "systemd-nspawn@box.service"}},
		"docker kill -s9 web":                                 {verb: verbKill, about: []string{"web"}, waits: true},
		"docker -H unix:///x.sock stop web":                   {verb: verbStop, about: []string{"web"}, waits: true},
		"ctr -namespace k8s.io task kill -signal 9 abc":       {verb: verbKill, about: []string{"abc"}, namespace: "k8s.io", waits: true},
		"systemctl --user stop job":                           {verb: verbStop, about: []string{"job"}, waits: true, elsewhere: true},
		"systemctl stop -- -dashed.service":                   {verb: verbStop, about: []string{"-dashed.service"}, waits: true},
		"systemctl disable --now nginx":                       {verb: verbStop, about: []string{"nginx"}, waits: true},
		"systemctl disable nginx":                             {verb: verbNone, about: nil},
		"systemctl status mariadb":                            {verb: verbNone, about: nil},
		"systemctl is-active stop":                            {verb: verbNone, about: nil},
		"systemctl":                                           {verb: verbNone, about: nil},
		"systemctl daemon-reload":                             {verb: verbNone, about: nil},
		"systemctl isolate rescue":                            {verb: verbIsolate, about: []string{"rescue.target"}, waits: true},
		"systemctl rescue":                                    {verb: verbIsolate, about: []string{"rescue.target"}, waits: true},
		"systemctl reload-or-restart --marked":                {verb: verbRestart, about: []string{}, marked: true, waits: true},
		"systemctl poweroff":                                  {verb: verbShutdown, about: []string{}},
		"/bin/sh /usr/sbin/service mariadb restart":           {verb: verbRestart, about: []string{"mariadb"}},
		"invoke-rc.d mariadb stop":                            {verb: verbStop, about: []string{"mariadb"}},
		"loginctl terminate-session 21":                       {verb: verbEndSession, about: []string{"21"}},
		"loginctl list-sessions":                              {verb: verbNone, about: nil},
		"shutdown -h now":                                     {verb: verbShutdown, about: nil},
		"shutdown -c":                                         {verb: verbNone, about: nil},
		"reboot":                                              {verb: verbShutdown, about: nil},
		"docker stop -t 5 web":                                {verb: verbStop, about: []string{"web"}, waits: true},
		"docker container rm -f web":                          {verb: verbStop, about: []string{"web"}, waits: true},
		"docker ps":                                           {verb: verbNone, about: nil},
		"ctr -n k8s.io task kill -s SIGKILL abc":              {verb: verbKill, about: []string{"abc"}, namespace: "k8s.io", waits: true},
		"ctr -a /run/x.sock task kill -a abc":                 {verb: verbKill, about: []string{"abc"}, namespace: "default", waits: true},
		"docker exec web stop":                                {verb: verbNone, about: nil},
		"ctr t rm abc":                                        {verb: verbStop, about: []string{"abc"}, namespace: "default", waits: true},
		"/usr/bin/python3 /usr/bin/supervisorctl stop mysqld": {verb: verbStop, about: []string{"mysqld"}, waits: true},
		"supervisorctl signal HUP mysqld":                     {verb: verbKill, about: []string{"mysqld"}, waits: true},
		"supervisorctl status":                                {verb: verbNone, about: nil},
		"busctl call org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager StopUnit ss a.service replace": {
			verb: verbStop, about: []string{"a.service"},
		},
		"dbus-send --system --dest=org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager.RestartUnit string:a.service string:fail": {
			verb: verbRestart, about: []string{"a.service"},
		},
		"busctl tree":                 {verb: verbNone, about: nil},
		"python3 /opt/ops.py":         {verb: verbUnknown, about: nil},
		"sleep systemctl stop x":      {verb: verbUnknown, about: nil},
		"bash -c systemctl":           {verb: verbNone, about: nil},
		"":                            {verb: verbUnknown, about: nil},
		"/opt/systemctl-exporter":     {verb: verbUnknown, about: nil},
		"env systemctl stop mariadb":  {verb: verbUnknown, about: nil},
		"-bash":                       {verb: verbUnknown, about: nil},
		"python3":                     {verb: verbUnknown, about: nil},
		"systemd-run --scope stop":    {verb: verbNone, about: nil},
		"machinectl poweroff my-box":  {verb: verbStop, about: []string{`machine-my\x2dbox.scope`, "systemd-nspawn@my-box.service"}},
		"systemctl stop mariadb --no": {verb: verbStop, about: []string{"mariadb"}},
	}
	for line, want := range tests {
		t.Run(line, func(t *testing.T) { assert.Equal(t, want, asksOf(words(line))) })
	}
}

func TestAsksSignal(t *testing.T) {
	tests := map[string]kill.Signal{
		"ctr task kill --signal SIGHUP web":               kill.SIGHUP,
		"ctr task kill --signal=9 web":                    kill.SIGKILL,
		"ctr task kill web":                               0, // what the image says
		"docker kill web":                                 kill.SIGKILL,
		"docker kill -s9 web":                             kill.SIGKILL,
		"docker kill -sHUP web":                           kill.SIGHUP,
		"docker-compose kill -s HUP db":                   kill.SIGHUP,
		"docker compose -f s kill db":                     kill.SIGKILL,
		"systemctl kill mariadb":                          kill.SIGTERM,
		"systemctl kill -s9 mariadb":                      kill.SIGKILL,
		"systemctl kill -sHUP mariadb":                    kill.SIGHUP,
		"systemctl kill --si=HUP mariadb":                 kill.SIGHUP,
		"systemctl -qsINT kill mariadb":                   kill.SIGINT,
		"systemctl kill -s what mariadb":                  0,
		"ctr task kill -signal 9 web":                     kill.SIGKILL,
		"docker compose kill -s HUP db":                   kill.SIGHUP,
		"machinectl kill -s HUP box":                      kill.SIGHUP,
		"docker kill -s HUP web":                          kill.SIGHUP,
		"python3 /usr/bin/supervisorctl -c x signal 15 a": kill.SIGTERM,
		"supervisorctl signal":                            0,
		"":                                                0,
	}
	for line, want := range tests {
		t.Run(line, func(t *testing.T) { assert.Equal(t, want, asksSignal(words(line))) })
	}
}

func TestNames(t *testing.T) {
	tests := map[string]struct {
		about, unit string
		want        bool
	}{
		"the name without its type": {"mariadb", "mariadb.service", true},
		"the whole name":            {"mariadb.service", "mariadb.service", true},
		"a glob":                    {"maria*", "mariadb.service", true},
		"another unit":              {"nginx", "mariadb.service", false},
		"a socket":                  {"mariadb.socket", "mariadb.service", false},
		"a glob that is malformed":  {"maria[", "mariadb.service", false},
		"an instance":               {"getty@tty1", "getty@tty1.service", true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			a := ask{about: []string{tt.about}}
			assert.Equal(t, tt.want, a.names(tt.unit))
		})
	}
}

func FuzzAsksOf(f *testing.F) {
	f.Add("systemctl\x00stop\x00mariadb")
	f.Add("\x00\x00")
	f.Add("-")
	f.Add("python3\x00-\x00-")
	f.Fuzz(func(_ *testing.T, title string) {
		a := asksOf(title)
		asksSignal(title)
		a.names("mariadb.service")
	})
}
