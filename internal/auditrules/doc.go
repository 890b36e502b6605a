// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package auditrules makes the kernel record signals: it turns a set of signals
// into the fewest audit rules, installs them, puts back what somebody removes,
// and cleans up.
//
// A Manager loads the rules and takes them away, a Guard has it put back what is
// missing, and Check tells what of it the loaded rules record, and changes nothing.
//
// # Why four rules
//
// Each rule is walked at the exit of every system call of the host, so there
// should be few. A rule compares arguments by their place, and the signal is
// the second argument of kill, tkill, rt_sigqueueinfo and pidfd_send_signal but
// the third of tgkill and rt_tgsigqueueinfo; and a rule is for 64-bit or for
// 32-bit callers. That makes four, however many signals there are: all
// comparisons of a rule must hold, so that one rule can say "from 1 to 31, and
// not 10, 12 or 13".
//
// For each kind of callers one rule names kill. Otherwise the kernel would not
// write who the targets were (kernel/auditfilter.c, audit_match_signal).
//
// # Whose rules
//
// Rules that others have loaded are left alone, and a rule of theirs that equals
// one of ours takes its place. Ours bear our key and leave out the signals that
// the collector itself sends (pid!=), as the Go runtime sends many. By these two
// they are recognized after a crash: such a rule is a leftover if nobody who
// manages rules has that pid any more.
//
// That is sure if no process has it, or one whose program does not contain this
// package, as the modules tell that are named in every Go program. The name of the
// process tells too little: the companion and a collector that somebody has built
// share the kernel with ours. Where /proc does not tell, the rule stays. A leftover
// costs a little of each system call, and one that suppresses (see below) is told;
// but whoever loses a rule that is in use is blind until he looks, and takes it for
// tampering.
//
// # The switch
//
// Audit that was off is turned off again at the end, unless somebody relies on it
// by then: a new audit daemon, rules of others that were not there before, or
// another of ours that runs, whatever its key. Then it stays on for good, which is
// told: whoever has found it on does not know that it had been off.
//
// # The shield
//
// Somebody else's rule may be so broad that it records the very system calls
// with which the collector reads the records. Each would make another, without
// end. Only then a rule is put before all others that leaves out the collector
// (-A never,exit -F pid=...).
//
// # What it does not
//
//   - The x32 calls of x86-64 have numbers that no rule can name.
//   - After a crash nobody knows that audit had been off; it stays on.
//   - The rules for the machines that go-libaudit does not know, such as
//     riscv64, are told but cannot be loaded.
package auditrules
