// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/audittest"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

func init() {
	roles["client"] = beClient
	roles["listener"] = beListener
}

// beClient connects to the sockets that it is sent, and sends there what follows. It prints the errors.
func beClient([]string) {
	runtime.LockOSThread()
	for input := bufio.NewScanner(os.Stdin); input.Scan(); {
		network, rest, _ := strings.Cut(input.Text(), " ")
		path, message, _ := strings.Cut(rest, " ")
		fmt.Println(int(connectTo(network, path, message))) //nolint:forbidigo // this is how it answers
	}
}

// connectTo connects and sends a message, of which each | begins another part.
func connectTo(network, path, message string) syscall.Errno {
	kind := map[string]int{"unix": unix.SOCK_STREAM, "unixgram": unix.SOCK_DGRAM, "unixpacket": unix.SOCK_SEQPACKET}[network]
	fd, err := unix.Socket(unix.AF_UNIX, kind, 0)
	check(err)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: path})
	if err != nil {
		_ = unix.Close(fd)
		return err.(syscall.Errno) //nolint:errorlint,forcetypeassert // what a call returns
	}
	if message != "" {
		var parts [][]byte
		for part := range strings.SplitSeq(message, "|") {
			parts = append(parts, []byte(part))
		}
		if len(parts) == 1 {
			_, err = unix.Write(fd, parts[0])
		} else {
			_, err = unix.Writev(fd, parts)
		}
		check(err)
	}
	check(unix.Close(fd))
	return 0
}

// beListener listens at a path, with a folder of its own in its place if it is asked for.
func beListener(arguments []string) {
	path := arguments[0]
	if len(arguments) > 1 {
		check(unix.Mount("x", filepath.Dir(path), "tmpfs", 0, ""))
	}
	listener, err := net.Listen("unix", path)
	check(err)
	fmt.Println("ready") //nolint:forbidigo // this is how it answers
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() { // as a client in the same namespaces
		fmt.Println(int(connectTo("unix", input.Text(), ""))) //nolint:forbidigo // this is how it answers
	}
	_ = listener.Close()
}

// connect makes a client connect, and returns the error.
func (h *helper) connect(network, path string) syscall.Errno {
	h.t.Helper()
	h.say("%s %s", network, path)
	var number int
	h.read(&number)
	return syscall.Errno(number)
}

// requests returns those of a process.
func (w *watch) requests(pid int) []*attribution.Request {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var all []*attribution.Request
	for _, r := range w.asked {
		if r.Requester.PID == pid {
			all = append(all, r)
		}
	}
	return all
}

// request waits for the only request of a process.
func (w *watch) request(t *testing.T, pid int) *attribution.Request {
	t.Helper()
	w.fence(t)
	all := w.requests(pid)
	require.Len(t, all, 1)
	return all[0]
}

// listen listens in this process until the test ends.
func listen(t *testing.T, network, path string) {
	t.Helper()
	if network == "unixgram" {
		socket, err := net.ListenUnixgram(network, &net.UnixAddr{Net: network, Name: path})
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, socket.Close()) })
		return
	}
	listener, err := net.Listen(network, path)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, listener.Close()) })
}

func withSockets(sockets ...string) func(*Settings) {
	return func(s *Settings) { s.Sockets = sockets }
}

// eachWay runs a test with each way to see connects that the kernel permits.
func eachWay(t *testing.T, test func(*testing.T, connects)) {
	t.Helper()
	needRoot(t)
	for _, way := range []connects{connectsOfFunction, connectsOfCall, connectsOfAllCalls} {
		t.Run(string(way), func(t *testing.T) {
			if way == connectsOfCall && os.Getenv(anew) == "" {
				mountTracefs(t)
				runAnew(t)
				return
			}
			if err := way.check(); err != nil {
				audittest.Skip(t, "this kernel does not permit it: %v", err)
			}
			test(t, way)
		})
	}
}

func TestConnects(t *testing.T) {
	eachWay(t, func(t *testing.T, way connects) {
		folder := t.TempDir()
		listed, other := filepath.Join(folder, "listed"), filepath.Join(folder, "others")
		w := startBy(t, "", way, withSockets(listed, folder+"/numbered.*", "/run/user/*/auditkill.test/bus"))
		listen(t, "unix", listed)
		listen(t, "unix", other)
		beside := filepath.Join(folder, "Xisted")
		listen(t, "unix", beside)
		t.Run("a listed socket", func(t *testing.T) {
			client := help(t, "client", unprivilegedIn(t, folder))
			before := time.Now()
			require.Zero(t, client.connect("unix", listed))
			r := w.request(t, client.pid)
			assert.Equal(t, listed, r.Socket)
			assert.Equal(t, os.Getpid(), r.Manager)
			assert.Nil(t, r.Call)
			assert.WithinRange(t, r.Time, before.Add(-time.Second), time.Now().Add(time.Second))
			p := r.Requester
			assert.NotZero(t, p.ThreadID)
			assert.Equal(t, os.Getpid(), p.ParentPID)
			assert.Equal(t, os.Getpid(), p.Ancestry[0].PID)
			assert.Equal(t, "exe", p.Leader)
			assert.Equal(t, "/proc/self/exe", p.Title)
			assert.Equal(t, kill.NewID(65534), p.User.ID)
			assert.Equal(t, kill.NewID(65534), p.RealUser.ID)
			assert.Equal(t, kill.WhoseHost, p.Home.PIDs)
			require.NotNil(t, p.Instance)
			assert.Equal(t, "/proc/self/exe", p.Instance.CommandLine)
		})
		t.Run("by another name", func(t *testing.T) {
			client, link := help(t, "client", nil), filepath.Join(folder, "link")
			require.NoError(t, os.Symlink(listed, link))
			require.Zero(t, client.connect("unix", link))
			assert.Equal(t, listed, w.request(t, client.pid).Socket)
		})
		t.Run("a number at the end", func(t *testing.T) {
			client, path := help(t, "client", nil), folder+"/numbered.4194304"
			listen(t, "unix", path)
			require.Zero(t, client.connect("unix", path))
			assert.Equal(t, path, w.request(t, client.pid).Socket)
		})
		t.Run("a user's number", func(t *testing.T) {
			home := "/run/user/" + strconv.Itoa(1_000_000_000+os.Getpid())
			require.NoError(t, os.MkdirAll(home+"/auditkill.test", 0o755))
			t.Cleanup(func() { assert.NoError(t, os.RemoveAll(home)) })
			client := help(t, "client", nil)
			for _, name := range []string{"sub", "bus"} {
				listen(t, "unix", home+"/auditkill.test/"+name)
				require.Zero(t, client.connect("unix", home+"/auditkill.test/"+name))
			}
			assert.Equal(t, home+"/auditkill.test/bus", w.request(t, client.pid).Socket)
		})
		t.Run("packets", func(t *testing.T) {
			client, path := help(t, "client", nil), folder+"/numbered.1"
			listen(t, "unixpacket", path)
			require.Zero(t, client.connect("unixpacket", path))
			assert.Equal(t, path, w.request(t, client.pid).Socket)
		})
		t.Run("none of interest", func(t *testing.T) {
			client := help(t, "client", nil)
			assert.Zero(t, client.connect("unix", other))
			assert.Zero(t, client.connect("unix", beside))
			assert.Equal(t, syscall.EPROTOTYPE, client.connect("unixpacket", listed))
			assert.Equal(t, syscall.ENOENT, client.connect("unix", listed+"0"))
			listen(t, "unix", "@"+listed)
			assert.Zero(t, client.connect("unix", "@"+listed))
			listen(t, "unixgram", folder+"/numbered.2")
			assert.Zero(t, client.connect("unixgram", folder+"/numbered.2"))
			closed := folder + "/numbered.3"
			listener, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: closed})
			require.NoError(t, err)
			listener.SetUnlinkOnClose(false)
			require.NoError(t, listener.Close())
			assert.Equal(t, syscall.ECONNREFUSED, client.connect("unix", closed))
			w.fence(t)
			assert.Empty(t, w.requests(client.pid))
		})
		t.Run("our own", func(t *testing.T) {
			require.Zero(t, connectTo("unix", listed, ""))
			w.fence(t)
			assert.Empty(t, w.requests(os.Getpid()))
		})
		for name, code := range map[string]func(string) []byte{
			"a program of 32 bits": connect32, "a program of 32 bits, socketcall": socketcall32,
		} {
			t.Run(name, func(t *testing.T) {
				c := command(program32(t, code(listed)))
				if err := c.Run(); err != nil {
					audittest.Skip(t, "this kernel runs no programs of 32 bits (CONFIG_IA32_EMULATION): %v", err)
				}
				w.fence(t)
				if way == connectsOfCall {
					assert.Empty(t, w.requests(c.ProcessState.Pid()))
					return
				}
				assert.Equal(t, listed, w.request(t, c.ProcessState.Pid()).Socket)
			})
		}
		t.Run("without the ends of other calls", func(t *testing.T) {
			alone := startBy(t, endsUnseen, way, func(s *Settings) { s.Sockets, s.IncludeFailed = []string{listed}, false })
			client := help(t, "client", nil)
			require.Zero(t, client.connect("unix", listed))
			assert.Equal(t, listed, alone.request(t, client.pid).Socket)
		})
		t.Run("by many in turns", func(t *testing.T) {
			for range 5 {
				client := help(t, "client", nil)
				require.Zero(t, client.connect("unix", listed))
				assert.Equal(t, listed, w.request(t, client.pid).Socket)
			}
		})
	})
}

// connecting32 is a program of 32 bits that connects to a socket, by a call whose registers are already
// set but for ebx, the file descriptor, and ecx, the address. It ends with what the call returns.
func connecting32(path string, call ...byte) []byte {
	address := append(binary.LittleEndian.AppendUint16(nil, unix.AF_UNIX), path+"\x00"...)
	return slices.Concat(
		[]byte{0xbb, 1, 0, 0, 0, 0xb9, 1, 0, 0, 0, 0x31, 0xd2, 0xb8, 0x67, 1, 0, 0, 0xcd, 0x80, 0x89, 0xc3}, // socket(1, 1, 0)
		[]byte{0xe8}, word(len(address)), address, []byte{0x59, 0xba}, word(len(address)), // its address to ecx
		call, []byte{0xcd, 0x80, 0x89, 0xc3, 0xb8, 1, 0, 0, 0, 0xcd, 0x80}) // exit(result)
}

func connect32(path string) []byte { return connecting32(path, 0xb8, 0x6a, 1, 0, 0) }

func socketcall32(path string) []byte {
	return connecting32(path, 0x52, 0x51, 0x53, 0x89, 0xe1, 0xbb, 3, 0, 0, 0, 0xb8, 0x66, 0, 0, 0)
}

// unprivilegedIn is unprivileged, with a folder that everybody may use.
func unprivilegedIn(t *testing.T, folder string) *syscall.SysProcAttr {
	t.Helper()
	for at := folder; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
		require.NoError(t, os.Chmod(at, 0o755))
	}
	sockets, err := filepath.Glob(folder + "/*")
	require.NoError(t, err)
	for _, socket := range sockets {
		require.NoError(t, os.Chmod(socket, 0o777))
	}
	return unprivileged()
}

// Anybody may have a socket of any name in a mount namespace of his own. The listener tells it from the manager's.
func TestConnectInAnotherMountNamespace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "listed")
	w := start(t, withSockets(path))
	manager := help(t, "listener", nil, path)
	require.True(t, manager.out.Scan())
	forger := help(t, "listener", inNamespaces(syscall.CLONE_NEWUSER), path, "own")
	require.True(t, forger.out.Scan())
	forger.say("%s", path)
	var errno int
	forger.read(&errno)
	require.Zero(t, errno)
	forged := w.request(t, forger.pid)
	assert.Equal(t, path, forged.Socket)
	assert.Equal(t, forger.pid, forged.Manager)
	client := help(t, "client", nil)
	require.Zero(t, client.connect("unix", path))
	assert.Equal(t, manager.pid, w.request(t, client.pid).Manager)
}

// A process that connects all the time is told now and then.
func TestConnectsOfOne(t *testing.T) {
	path := filepath.Join(t.TempDir(), "listed")
	w := start(t, withSockets(path))
	listener := help(t, "acceptor", nil, path)
	require.True(t, listener.out.Scan())
	client := help(t, "visitor", nil, path, "20000")
	begin := time.Now()
	require.True(t, client.out.Scan())
	took := time.Since(begin)
	w.fence(t)
	told := w.requests(client.pid)
	assert.NotEmpty(t, told)
	assert.LessOrEqual(t, len(told), 2+int(took/(50*time.Millisecond)))
}

// What is sent to a manager is known if the function that sends it can be traced.
func TestMessages(t *testing.T) {
	needRoot(t)
	if err := checkFunction(sendFunction, ebpf.AttachTraceFEntry); err != nil {
		audittest.Skip(t, "this kernel does not permit it: %v", err)
	}
	folder := t.TempDir()
	listed, other := filepath.Join(folder, "listed"), filepath.Join(folder, "other")
	w := start(t, withSockets(listed))
	listen(t, "unix", listed)
	listen(t, "unix", other)
	const stop = `{"method":"io.systemd.Unit.Stop","parameters":{"name":"web.service"}}`
	for name, message := range map[string]string{
		"in one part": stop, "in two": stop[:30] + "|" + stop[30:], "in four": stop[:2] + "|" + stop[2:9] + "|" + stop[9:40] + "|" + stop[40:],
	} {
		t.Run(name, func(t *testing.T) {
			client := help(t, "client", nil)
			require.Zero(t, client.connect("unix", listed+" "+message))
			require.Zero(t, client.connect("unix", other+" "+message))
			w.fence(t)
			told := w.requests(client.pid)
			require.Len(t, told, 2)
			assert.Nil(t, told[0].Call)
			assert.Equal(t, &attribution.Call{Member: "StopUnit", Object: "web.service"}, told[1].Call)
			assert.Equal(t, listed, told[1].Socket)
			assert.Equal(t, told[0].Manager, told[1].Manager)
		})
	}
	t.Run("too many", func(t *testing.T) {
		client := help(t, "client", nil)
		for range 200 {
			require.Zero(t, client.connect("unix", listed+" "+stop))
		}
		w.fence(t)
		calls := 0
		for _, r := range w.requests(client.pid) {
			if r.Call != nil {
				calls++
			}
		}
		assert.GreaterOrEqual(t, calls, 64)
	})
}
