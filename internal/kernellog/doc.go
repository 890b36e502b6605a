// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package kernellog reads what the kernel's log says about kills for lack of memory (mm/oom_kill.c).
//
// Names of processes and of control groups are chosen by users, so a message counts only where it has its
// text from its beginning, and what comes after a chosen name is found from the right end. What could be
// read in two ways is left out.
//
//	parser    the messages of one report -> kill.Event
//	message   what a single message says
//	cgroup    paths of control groups within a message
//	record    a record of /dev/kmsg -> a message
//	text      the lines of dmesg and journalctl -> messages
package kernellog
