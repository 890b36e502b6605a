// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package host

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/e2e/internal/harness"
)

// Network is an Ethernet of hosts, in a network namespace of its own: this machine's network is as before. Each host reaches the
// others by their names, and alice logs in from each to each.
type Network struct {
	t *testing.T
	// path is the namespace's, for nsenter.
	path string
	// Hosts are its hosts.
	Hosts []*Host
}

const (
	bridge  = "bridge0"
	subnet  = "10.9.0."
	gateway = subnet + "1"
	// workstation is where people sit who log in by Host.SSH.
	workstation = "10.0.0.5"
	// shown by the process that keeps the namespace, once the bridge is up.
	upText = "the bridge is up"
)

// NewNetwork makes a network without hosts.
func NewNetwork(t *testing.T) *Network {
	t.Helper()
	needTools(t)
	keeper := exec.Command("unshare", "--net", "/bin/sh", "-ec", "ip link set lo up; ip link add "+bridge+" type bridge; ip address add "+
		gateway+"/24 dev "+bridge+"; ip link set "+bridge+" up; echo "+upText+"; exec sleep infinity")
	harness.EndWithTest(keeper)
	process := harness.StartProcess(t, keeper, new(harness.Output))
	t.Cleanup(process.Kill)
	harness.Eventually(t, func() bool { return process.Output.Contains(upText) || process.Gone() }, upText)
	if process.Gone() {
		harness.Missing(t, "this kernel has no bridge: "+process.Output.Tail())
	}
	return &Network{t: t, path: fmt.Sprintf("/proc/%d/ns/net", process.PID())}
}

// Boot boots a host.
func (n *Network) Boot(name string) *Host {
	n.t.Helper()
	h := boot(n.t, name, []string{"nsenter", "--net=" + n.path}, "--network-bridge="+bridge, "", nil)
	h.Address = subnet + strconv.Itoa(11+len(n.Hosts))
	n.Hosts = append(n.Hosts, h)
	h.Root("ip", "address", "add", workstation+"/32", "dev", "lo")
	h.Root("ip", "address", "add", h.Address+"/24", "dev", "host0")
	h.Root("ip", "link", "set", "host0", "up")
	h.Root("hostname", name)
	h.Root("sh", "-ec", "install -m 600 -o alice -g alice /root/.ssh/id_ed25519 /root/.ssh/config /home/alice/.ssh")
	var names strings.Builder
	fmt.Fprintln(&names, "127.0.0.1 localhost")
	for _, other := range n.Hosts {
		fmt.Fprintln(&names, other.Address, other.Name)
	}
	for _, other := range n.Hosts {
		other.Write("/etc/hosts", names.String(), 0o644)
	}
	return h
}

// within enters the host as far as a program needs that watches its processes from this machine. It sees copies of what identifies
// the host and its users.
const within = `host=$0 copies=$1
shift
for file in machine-id passwd group; do
	cp "/proc/$host/root/etc/$file" "$copies" && mount --bind "$copies/$file" "/etc/$file" || exit
done
exec nsenter --target "$host" --net --uts -- "$@"`

// Within returns an option for a program of this machine: it runs in the network of the host, has its name, and knows its users.
func (h *Host) Within() func(*exec.Cmd) {
	return func(command *exec.Cmd) {
		command.Args = append([]string{
			"unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", within, strconv.Itoa(h.PID), h.t.TempDir(), command.Path,
		}, command.Args[1:]...)
		command.Path, command.Err = exec.LookPath("unshare")
	}
}

// Forward returns an address in the network at which hosts reach a server of this machine.
func (n *Network) Forward(to string) string {
	n.t.Helper()
	listener, err := n.listen()
	require.NoError(n.t, err)
	var connections sync.WaitGroup
	connections.Go(func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			connections.Go(func() { forward(n.t.Context(), from, to) })
		}
	})
	n.t.Cleanup(func() {
		_ = listener.Close()
		connections.Wait()
	})
	return listener.Addr().String()
}

// forward copies in both directions until one side ends or the test does.
func forward(ctx context.Context, from net.Conn, to string) {
	defer from.Close()
	server, err := new(net.Dialer).DialContext(ctx, "tcp", to)
	if err != nil {
		return // the client sees that its connection ends
	}
	stop := context.AfterFunc(ctx, func() { _ = from.Close() })
	defer stop()
	var answers sync.WaitGroup
	answers.Go(func() {
		_, _ = io.Copy(from, server)
		_ = from.Close()
	})
	_, _ = io.Copy(server, from)
	_ = server.Close()
	answers.Wait()
}

// listen returns a listener whose socket is in the network. It enters the network and comes back: a thread must not end, because the
// programs that it has started would end with it (harness.EndWithTest).
func (n *Network) listen() (listener net.Listener, err error) {
	there, err := os.Open(n.path)
	if err != nil {
		return nil, err
	}
	defer there.Close()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	here, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	defer here.Close()
	if err = unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter %s: %w", n.path, err)
	}
	listener, err = new(net.ListenConfig).Listen(n.t.Context(), "tcp", gateway+":0")
	require.NoError(n.t, unix.Setns(int(here.Fd()), unix.CLONE_NEWNET), "come back from %s", n.path)
	return listener, err
}
