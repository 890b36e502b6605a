// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package auditrules makes the kernel record signals: it turns a set of signals
// into the fewest audit rules, installs them, puts back those that are removed, and
// cleans up.
//
// A Manager loads and removes the rules, a Guard makes it put back what is missing,
// and Check reports which signals the loaded rules record, without changing
// anything.
//
// # Why four rules
//
// The kernel checks each rule at the exit of every system call of the host, so
// there should be few. A rule compares arguments by their place, and the signal is
// the second argument of kill, tkill, rt_sigqueueinfo and pidfd_send_signal but the
// third of tgkill and rt_tgsigqueueinfo; and a rule is for 64-bit or for 32-bit
// callers. That makes four rules, however many signals there are: all comparisons
// of a rule must hold, so that one rule can say "from 1 to 31, and not 10, 12 or
// 13".
//
// For each kind of callers one rule names kill. Otherwise the kernel would not
// record the targets (kernel/auditfilter.c, audit_match_signal).
//
// # Whose rules
//
// The Manager leaves the rules of others alone, and does not load a rule if an equal
// one is loaded. Its own rules have its key, and exclude the signals that the
// collector itself sends (pid!=), because the Go runtime sends many. These two
// identify them after a crash: such a rule is a leftover if no process with that pid
// can be managing rules any more.
//
// That is certain if no process has the pid, or if its program does not contain this
// package, according to the list of modules in every Go program. The name of the
// process is not enough: the companion and collectors that others have built share
// the kernel with this one. Where /proc does not show the program, the rule stays. A
// leftover costs a little of each system call, and one that suppresses records (see
// below) is reported. But a program that loses a rule in use is blind until its next
// check, and takes the removal for tampering.
//
// # The switch
//
// If audit was off, it is turned off again at the end, unless something relies on it
// by then: a new audit daemon, rules of others that were not there before, or
// another program with this package, whatever its key. Then audit stays on
// permanently, and that is logged: a program that found it on does not know that it
// had been off.
//
// # The shield
//
// A rule of others may be so broad that it records the very system calls with which
// the collector reads the records. Each record would then cause another, without
// end. Only in that case a rule that excludes the collector is put before all others
// (-A never,exit -F pid=...).
//
// # Limits
//
//   - The x32 calls of x86-64 have numbers that no rule can name.
//   - After a crash nothing shows that audit had been off; it stays on.
//   - The rules for machines that go-libaudit does not know, such as riscv64, can be
//     shown but not loaded.
package auditrules
