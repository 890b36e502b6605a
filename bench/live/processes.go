// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// clientRole is the name by which this program asks a manager for something. The collector knows by the name
// of a program what it asks for.
const clientRole = "supervisorctl"

// socketVariable names the socket of the manager.
const socketVariable = "AUDITKILL_MANAGER"

// askManager connects to the manager, and waits until it has obeyed.
func askManager() error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: os.Getenv(socketVariable)})
	if err != nil {
		return err
	}
	_, err = unix.Read(fd, make([]byte, 1))
	return err
}

// stops is a manager that stops a process whenever it is asked to, which is so many times a minute.
func stops(socket string, aMinute int, duration time.Duration) (result sent, err error) {
	listener, err := listen(socket)
	if err != nil {
		return sent{}, err
	}
	defer func() { err = errors.Join(err, unix.Close(listener), os.Remove(socket)) }()
	self, err := os.Executable()
	if err != nil {
		return sent{}, err
	}
	start := time.Now()
	for ; time.Since(start) < duration; result.signals++ {
		time.Sleep(time.Until(start.Add(time.Duration(result.signals) * time.Minute / time.Duration(aMinute))))
		server := exec.Command("sleep", "1000")
		client := exec.Command(self) //nolint:gosec // this program
		client.Args = []string{clientRole, "stop", fmt.Sprintf("server%d", result.signals)}
		client.Env = append(os.Environ(), socketVariable+"="+socket)
		if err := errors.Join(server.Start(), client.Start()); err != nil {
			return sent{}, err
		}
		if err := obey(listener, server); err != nil {
			return sent{}, err
		}
		if err := client.Wait(); err != nil {
			return sent{}, err
		}
	}
	result.elapsed = time.Since(start)
	return result, nil
}

// obey stops a server as soon as somebody has connected.
func obey(listener int, server *exec.Cmd) error {
	connection, _, err := unix.Accept(listener)
	if err != nil {
		return err
	}
	err = server.Process.Signal(unix.SIGTERM)
	_ = server.Wait() // it was stopped
	return errors.Join(err, unix.Close(connection))
}

// listen returns a listening socket, as Go's own would take its time.
func listen(path string) (fd int, err error) {
	if fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0); err != nil {
		return 0, err
	}
	return fd, errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 2*connectsAtOnce))
}

// connectsAtOnce is how many connects are timed together.
const connectsAtOnce = 100

// timedConnects times connects to a Unix socket, or else to one of IPv4, and returns the least time of a connect.
func timedConnects(path string, number int) (result sent, err error) {
	var to unix.Sockaddr = &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}
	family, kind, listener := unix.AF_INET, unix.SOCK_DGRAM, -1
	if path != "" {
		to, family, kind = &unix.SockaddrUnix{Name: path}, unix.AF_UNIX, unix.SOCK_STREAM
		if listener, err = listen(path); err != nil {
			return sent{}, err
		}
		defer func() { err = errors.Join(err, unix.Close(listener), os.Remove(path)) }()
	}
	runtime.LockOSThread()
	fds := make([]int, connectsAtOnce)
	start := time.Now()
	for ; result.signals < number; result.signals += connectsAtOnce {
		for i := range fds {
			if fds[i], err = unix.Socket(family, kind, 0); err != nil {
				return sent{}, err
			}
		}
		begin := time.Now()
		for _, fd := range fds {
			err = errors.Join(err, unix.Connect(fd, to))
		}
		elapsed := time.Since(begin) / connectsAtOnce
		err = errors.Join(err, closeAll(listener, fds))
		if err != nil {
			return sent{}, err
		}
		if result.least == 0 || elapsed < result.least {
			result.least = elapsed
		}
	}
	result.elapsed = time.Since(start)
	return result, nil
}

// closeAll closes connections, and their other ends if there is a listener.
func closeAll(listener int, fds []int) (err error) {
	for _, fd := range fds {
		if listener >= 0 {
			accepted, _, failed := unix.Accept(listener)
			err = errors.Join(err, failed, unix.Close(accepted))
		}
		err = errors.Join(err, unix.Close(fd))
	}
	return err
}

// startProcesses starts processes at a rate per second, each after the end of the one before.
func startProcesses(rate int, duration time.Duration) (result sent, err error) {
	folder, err := os.MkdirTemp("", "processes")
	if err != nil {
		return sent{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	program, err := writeProgram(folder, exitAtOnce)
	if err != nil {
		return sent{}, err
	}
	result = paced(rate, duration, false, func() {
		pid, failed := syscall.ForkExec(program, []string{program}, &syscall.ProcAttr{}) //nolint:gosec // written above
		if failed == nil {
			_, failed = syscall.Wait4(pid, nil, 0, nil)
		}
		err = errors.Join(err, failed)
	})
	return result, err
}

// live starts processes that wait, says how many, and ends them once its input is closed.
func live(number int) (err error) {
	runtime.LockOSThread() // the processes end with the thread that has started them
	folder, err := os.MkdirTemp("", "processes")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	program, err := writeProgram(folder, waitForever)
	if err != nil {
		return err
	}
	var pids []int
	defer func() {
		for _, pid := range pids {
			err = errors.Join(err, unix.Kill(pid, unix.SIGKILL))
		}
		for _, pid := range pids {
			_, failed := syscall.Wait4(pid, nil, 0, nil)
			err = errors.Join(err, failed)
		}
	}()
	for range number {
		pid, failed := syscall.ForkExec(program, []string{program}, &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}}) //nolint:gosec // written above
		if failed != nil {
			return fmt.Errorf("after %d processes: %w", len(pids), failed)
		}
		pids = append(pids, pid)
	}
	fmt.Println(len(pids))
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// code is what a program does, in machine code.
type code struct{ amd64, arm64 []byte }

var (
	// exitAtOnce is exit(0).
	exitAtOnce = code{
		amd64: []byte{0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05},
		arm64: []byte{0, 0, 0x80, 0xd2, 0xa8, 0x0b, 0x80, 0xd2, 1, 0, 0, 0xd4},
	}
	// waitForever is ppoll(NULL, 0, NULL, NULL, 0).
	waitForever = code{
		amd64: []byte{0x31, 0xff, 0x31, 0xf6, 0x31, 0xd2, 0x4d, 0x31, 0xd2, 0xb8, 0x0f, 0x01, 0, 0, 0x0f, 0x05},
		arm64: []byte{
			0, 0, 0x80, 0xd2, 1, 0, 0x80, 0xd2, 2, 0, 0x80, 0xd2, 3, 0, 0x80, 0xd2, 0x28, 0x09, 0x80, 0xd2, 1, 0, 0, 0xd4,
		},
	}
)

// writeProgram writes the shortest program that does something.
func writeProgram(folder string, what code) (path string, err error) {
	path = filepath.Join(folder, "shortest")
	return path, os.WriteFile(path, program64(what), 0o700) //nolint:gosec // it is to be run
}

func program64(what code) []byte {
	const base, headers = 0x400000, 64 + 56
	machine, code := uint16(0x3e), what.amd64
	if runtime.GOARCH == "arm64" {
		machine, code = 0xb7, what.arm64
	}
	size := uint64(headers + len(code))
	var file bytes.Buffer
	file.WriteString("\x7fELF\x02\x01\x01")
	file.Write(make([]byte, 9))
	for _, field := range []any{ // elf(5), Elf64_Ehdr and Elf64_Phdr
		uint16(2), machine, uint32(1), uint64(base + headers), uint64(64), uint64(0), uint32(0),
		[6]uint16{64, 56, 1},
		uint32(1), uint32(5),
		[6]uint64{0, base, base, size, size, 0x1000},
	} {
		_ = binary.Write(&file, binary.LittleEndian, field) // cannot fail for a buffer
	}
	return append(file.Bytes(), code...)
}
