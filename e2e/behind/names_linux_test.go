// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package behind

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
	"github.com/auditkill/auditkillreceiver/e2e/internal/otlp"
)

// crowd is run in the host. Ten users stop fifty services each, side by side, in several ways, while others look on.
const crowd = `
stopper() {
	echo $((1100 + $1)) >/proc/self/loginuid
	for i in $(seq 1 50); do
		n=$(($1 * 50 + i))
		case $((i % 5)) in
		0) systemctl --no-block stop many@$n ;;
		1) systemctl status many@$n >/dev/null; systemctl stop many@$n ;;
		2) systemctl stop many@$n & systemctl is-active many@$((n + 1)) >/dev/null ;;
		3) systemctl restart many@$n ;;
		4) busctl call -q org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager StopUnit ss many@$n.service replace ;;
		esac
	done
	wait
}
for user in $(seq 0 9); do bash -c "$(declare -f stopper); stopper $user" & done
wait
`

// decoys are programs of bob that pretend to ask, and connect to the bus all the time.
const decoys = `
while :; do
	busctl call -q org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager StopUnit ss many@1.service replace
	systemctl --no-ask-password stop many@2
	bash -c 'exec -a "systemctl stop many@3" busctl --quiet list'
done >/dev/null 2>&1
`

// TestNobodyIsNamedWrongly compares who is named in a crowd with who it was.
func TestNobodyIsNamedWrongly(t *testing.T) {
	w := watch(t, "")
	w.Write("/etc/systemd/system/many@.service", "[Service]\nExecStart=/usr/local/sbin/mysqld 9%i\n", 0o644)
	w.Root("systemctl", "daemon-reload")
	names := []string{"start"}
	for n := 1; n <= 500; n++ {
		names = append(names, fmt.Sprintf("many@%d", n))
	}
	w.Root("systemctl", names...)
	w.Start("bob", "10.0.0.5", decoys)
	before := len(w.sink.Records())
	w.Root("bash", "-c", crowd)

	asked := func() map[string]otlp.Record {
		told := map[string]otlp.Record{}
		for _, r := range w.sink.Records()[before:] {
			_, unit, _ := strings.Cut(r.Text("kill.target.cgroup"), "/many@")
			if r.Event == "kill.signal" && unit != "" && r.Text("kill.signal.name") == "SIGTERM" {
				told[strings.TrimSuffix(unit, ".service")] = r
			}
		}
		return told
	}
	harness.Eventually(t, func() bool { return len(asked()) == 500 }, "all services were stopped")
	named := 0
	for unit, r := range asked() {
		if r.Text("kill.requester.name") == "" {
			assert.Nil(t, r.Attributes["user.id"], "%s", r.Body)
			t.Log("nobody is named: ", r.Body, r.Attributes["kill.requester.candidates"])
			continue
		}
		named++
		assert.Contains(t, r.Text("kill.requester.title"), " many@"+unit, "%s", r.Body)
		assert.Equal(t, strconv.Itoa(1100+(harness.Number(unit)-1)/50), r.Text("user.id"), "%s", r.Body)
	}
	assert.GreaterOrEqual(t, named, 475, "of 500")
}
