// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kernellog

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

var update = flag.Bool("update", false, "write the golden files")

// The logs of several kernels, as several programs print them.
func TestKernels(t *testing.T) {
	t.Parallel()
	logs, err := filepath.Glob("testdata/[0-9]*.*[a-zA-Z]")
	require.NoError(t, err)
	for _, log := range logs {
		if strings.HasSuffix(log, ".golden") {
			continue
		}
		t.Run(filepath.Base(log), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(log)
			require.NoError(t, err)
			got := describe(read(t, string(data)))
			golden := log + ".golden"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(want), got)
		})
	}
}

// chosen is a report whose names and groups somebody has chosen.
type chosen struct {
	invoker, cpuset, atLimit, of, victim string
	pid                                  int
}

func (r chosen) lines() []string {
	return []string{
		r.invoker + " invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
		"CPU: 1 UID: 0 PID: 70 Comm: " + r.invoker + " Not tainted 6.18.0 #1 PREEMPT",
		"memory: usage 1024kB, limit 1024kB, failcnt 3",
		"Memory cgroup stats for " + r.atLimit + ":",
		fmt.Sprintf("oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=%s,mems_allowed=0,oom_memcg=%s,task_memcg=%s,task=%s,pid=%d,uid=7",
			r.cpuset, r.atLimit, r.of, r.victim, r.pid),
		fmt.Sprintf("Memory cgroup out of memory: Killed process %d (%s) total-vm:9kB, anon-rss:3kB, file-rss:2kB, shmem-rss:1kB, UID:7 pgtables:4kB oom_score_adj:-5",
			r.pid, r.victim),
	}
}

func add(p *Parser, lines ...string) {
	for _, line := range lines {
		p.Add(Message{Time: boot, Text: line})
	}
}

// Whatever a user chooses, no other process is named and no other group.
func TestChosenNames(t *testing.T) {
	t.Parallel()
	const forged = "/a,task_memcg=/system.slice/ssh.service,task=sshd,pid=1,uid=0"
	for name, r := range map[string]chosen{
		"usual":                       {"sh", "/", "/a", "/a", "sh", 70},
		"below":                       {"sh", "/", "/a", "/a/b", "sh", 71},
		"the root":                    {"sh", "/", "/", "/b", "sh", 71},
		"a name like a field":         {"x,task=y", "/", "/a", "/a", "x,task=y", 71},
		"a name like more fields":     {"a,pid=1,uid=0", "/", "/a", "/a", "a,pid=1,uid=0", 71},
		"a name like figures":         {") total-vm:1kB,", "/", "/a", "/a", ") total-vm:1kB,", 71},
		"a name like a victim":        {"1 (sshd) total-", "/", "/a", "/a", "1 (sshd) total-", 71},
		"a name with a line feed":     {"a\nroot", "/", "/a", "/a", "a\nKilled proces", 71}, //nolint:misspell // 15 bytes of it
		"an empty name":               {"", "/", "/a", "/a", "", 71},
		"a group like fields":         {"sh", "/", forged, forged, "sh", 71},
		"a group like a victim":       {"sh", "/", "/a", "/a/b,task=sshd,pid=1,uid=0", "sh", 71},
		"a group below like fields":   {"sh", "/", "/a", "/a/b,task_memcg=/a", "sh", 71},
		"a group like another":        {"sh", "/", "/a", "/a/b,oom_memcg=/etc,task_memcg=/etc/c", "sh", 71},
		"a cpuset like fields":        {"sh", "c,mems_allowed=0,oom_memcg=/etc,task_memcg=/etc", "/a", "/a", "sh", 71},
		"a group with spaces":         {"sh", "/", "/a b: c", "/a b: c/d", "sh", 71},
		"a name that announces":       {"oom-kill:constr", "/", "/a", "/a", "oom-kill:constr", 71},
		"a name like the kernel's":    {"Out of memory: ", "/", "/a", "/a", "Killed process ", 71},
		"a name that is not UTF-8":    {"\xff\xfe", "/", "/\xff", "/\xff", "\xff\xfe", 71},
		"a group like the statistics": {"sh", "/", "/a: cache:0KB rss:1KB", "/a: cache:0KB rss:1KB", "sh", 71},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &Parser{}
			add(p, r.lines()...)
			p.Flush()
			events := p.Take()
			require.Len(t, events, 1)
			e := events[0]
			require.Len(t, e.Targets, 1)
			assert.Equal(t, r.pid, e.Targets[0].PID)
			assert.Equal(t, r.victim, e.Targets[0].Command)
			assert.Equal(t, kill.NewID(7), e.Targets[0].User.ID)
			assert.Equal(t, r.invoker, e.OutOfMemory.Invoker.Command)
			assert.Equal(t, 70, e.OutOfMemory.Invoker.ThreadID)
			assert.Contains(t, []string{"", r.atLimit}, e.OutOfMemory.Cgroup)
			assert.Equal(t, kill.OOMConstraintMemcg, e.OutOfMemory.Constraint)
		})
	}
}

// Lines of another program or about something else are no reports.
func TestNoReport(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"",
		"sh: Out of memory: Killed process 1 (sshd) total-vm:1kB, anon-rss:1kB, file-rss:1kB",
		"Killed process 1 (sshd) total-vm:1kB, anon-rss:1kB, file-rss:1kB and more",
		"Killed process 1 (a name of more than fifteen) total-vm:1kB, anon-rss:1kB, file-rss:1kB",
		"Killed process 0 (sshd) total-vm:1kB, anon-rss:1kB, file-rss:1kB",
		"Killed process 4294967297 (sshd) total-vm:1kB, anon-rss:1kB, file-rss:1kB",
		"Killed process 1 (sshd) total-vm:99999999999999999999kB, anon-rss:1kB, file-rss:1kB",
		"Killed process 1 (sshd) total-vm:9223372036854775807kB, anon-rss:1kB, file-rss:1kB",
		"Killed process 1 (sshd) total-vm:1kB, anon-rss:1kB, file-rss:1kB, UID:-1",
		"audit: type=1701 comm=\"Out of memory: Killed process 1 (sshd) total-vm:1kB, anon-rss:1kB, file-rss:1kB",
		"Tasks in /a are going to be killed due to memory.oom.group set",
	} {
		p := &Parser{}
		add(p, line)
		p.Flush()
		assert.Empty(t, p.Take(), line)
	}
}

// What the kernel said of one kill is not said of the next, whose report it may have left out.
func TestNothingIsInherited(t *testing.T) {
	t.Parallel()
	const victim = "Memory cgroup out of memory: Killed process 99 (other) total-vm:9kB, anon-rss:3kB, file-rss:2kB, shmem-rss:1kB, UID:8 pgtables:4kB oom_score_adj:0"
	own := chosen{"sh", "/", "/a", "/a", "sh", 71}.lines()
	const all = "Tasks in /a are going to be killed due to memory.oom.group set"
	t.Run("a victim without a report", func(t *testing.T) {
		t.Parallel()
		p := &Parser{}
		add(p, append(own, victim)...)
		p.Flush()
		events := p.Take()
		require.Len(t, events, 2)
		assert.Equal(t, &kill.OutOfMemory{Constraint: kill.OOMConstraintMemcg}, events[1].OutOfMemory)
	})
	t.Run("a report without its victim", func(t *testing.T) {
		t.Parallel()
		p := &Parser{}
		add(p, append(own[:5:5], victim)...)
		p.Flush()
		assert.Equal(t, &kill.OutOfMemory{Constraint: kill.OOMConstraintMemcg}, p.Take()[0].OutOfMemory)
	})
	t.Run("no killable process", func(t *testing.T) {
		t.Parallel()
		p := &Parser{}
		add(p, append(own[:4:4], "Memory cgroup out of memory and no killable processes...", victim)...)
		p.Flush()
		assert.Equal(t, &kill.OutOfMemory{Constraint: kill.OOMConstraintMemcg}, p.Take()[0].OutOfMemory)
	})
	t.Run("messages were lost", func(t *testing.T) {
		t.Parallel()
		p := &Parser{}
		add(p, own[:4]...)
		p.Lost()
		add(p, victim)
		p.Flush()
		assert.Equal(t, &kill.OutOfMemory{Constraint: kill.OOMConstraintMemcg}, p.Take()[0].OutOfMemory)
	})
	t.Run("a group", func(t *testing.T) {
		t.Parallel()
		p := &Parser{}
		add(p, append(own, all, victim)...)
		p.Flush()
		events := p.Take()
		require.Len(t, events, 1)
		assert.Len(t, events[0].Targets, 2)
	})
	t.Run("a group, while the kernel leaves out reports", func(t *testing.T) {
		t.Parallel()
		p := &Parser{}
		for range rateBurst {
			add(p, own...)
		}
		add(p, all, victim)
		p.Flush()
		events := p.Take()
		require.Len(t, events, rateBurst+1)
		assert.Empty(t, events[rateBurst].OutOfMemory.Cgroup)
	})
}

// A group of any size needs little memory.
func TestLargeGroup(t *testing.T) {
	t.Parallel()
	p := &Parser{}
	add(p, chosen{"sh", "/", "/a", "/a", "sh", 1}.lines()...)
	add(p, "Tasks in /a are going to be killed due to memory.oom.group set")
	for pid := range 2 * maxVictims {
		add(p, fmt.Sprintf("Memory cgroup out of memory: Killed process %d (sh) total-vm:9kB, anon-rss:3kB, file-rss:2kB, shmem-rss:1kB", pid+1))
	}
	p.Flush()
	events := p.Take()
	require.Len(t, events, 2)
	for _, e := range events {
		assert.Len(t, e.Targets, maxVictims)
		assert.Equal(t, maxVictims, e.TargetCount)
		assert.Equal(t, "/a", e.OutOfMemory.Cgroup)
	}
}

// No bytes crash it, and no more is kept than a report.
func FuzzParser(f *testing.F) {
	logs, _ := filepath.Glob("testdata/[0-9]*.*[a-z]")
	for _, log := range logs {
		data, err := os.ReadFile(log)
		require.NoError(f, err)
		f.Add(string(data))
	}
	f.Add(strings.Join(chosen{"a", "b", "/c", "/c,task_memcg=/c", "d", 7}.lines(), "\n"))
	f.Fuzz(func(t *testing.T, data string) {
		for _, e := range read(t, data) {
			require.NotEmpty(t, e.Targets)
			require.NotNil(t, e.OutOfMemory)
			for _, p := range e.Targets {
				require.Positive(t, p.PID)
				require.LessOrEqual(t, len(p.Command), maxComm)
				require.NotNil(t, p.Memory)
			}
		}
		p := &Parser{}
		for line := range strings.Lines(data) {
			add(p, strings.TrimSuffix(line, "\n"))
		}
	})
}

// What was reported in an earlier run is left out, and what follows it in the same group is not.
func TestForget(t *testing.T) {
	t.Parallel()
	p := &Parser{}
	add := func(after time.Duration, text string) {
		p.Add(Message{Time: boot.Add(after), Text: text, ID: after.String()})
	}
	const figures = " total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:4kB oom_score_adj:0"
	add(0, "tail invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0")
	add(1, "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=tail,pid=7,uid=0")
	add(2, "Memory cgroup out of memory: Killed process 7 (tail)"+figures)
	add(3, "Tasks in /a are going to be killed due to memory.oom.group set")
	p.Forget()
	add(4, "Memory cgroup out of memory: Killed process 8 (other)"+figures)
	p.Flush()
	events := p.Take()
	require.Len(t, events, 1)
	require.Len(t, events[0].Targets, 1)
	assert.Equal(t, 8, events[0].Targets[0].PID)
	assert.Equal(t, 1, events[0].TargetCount)
	assert.Equal(t, "/a", events[0].OutOfMemory.Cgroup)
	assert.Equal(t, "4ns", events[0].LogRecord)

	add(time.Second, "Out of memory: Killed process 9 (whole)"+figures)
	p.Forget()
	p.Flush()
	assert.Empty(t, p.Take())
}

// Where each victim is an event of its own, nothing waits for what else is killed.
func TestEachVictim(t *testing.T) {
	t.Parallel()
	p := &Parser{EachVictim: true}
	for i, text := range []string{
		"tail invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0",
		"memory: usage 20480kB, limit 20480kB, failcnt 133",
		"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,task=tail,pid=7,uid=0",
		"Memory cgroup out of memory: Killed process 7 (tail) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:4kB oom_score_adj:0",
		"Tasks in /a are going to be killed due to memory.oom.group set",
		"Memory cgroup out of memory: Killed process 8 (other) total-vm:1kB, anon-rss:1kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:4kB oom_score_adj:0",
	} {
		p.Add(Message{Time: boot.Add(time.Duration(i) * time.Microsecond), Text: text})
	}
	events := p.Take()
	require.Len(t, events, 2)
	for i, pid := range []int{7, 8} {
		assert.Equal(t, pid, events[i].Targets[0].PID)
		assert.Equal(t, 1, events[i].TargetCount)
		assert.Equal(t, "/a", events[i].OutOfMemory.Cgroup)
	}
	p.Flush()
	assert.Empty(t, p.Take())
}
