// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"math"
	"strconv"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// outOfMemory adds which limit was reached, and what the target held. target may be nil.
func (a attributes) outOfMemory(e *kill.Event, target *kill.Process) {
	if o := e.OutOfMemory; o != nil {
		a.text("kill.oom.constraint", string(o.Constraint))
		a.text("kill.oom.cgroup", o.Cgroup)
		a.amount("kill.oom.limit", o.Limit)
		a.amount("kill.oom.usage", o.Usage)
		a.number("kill.oom.invoker.pid", o.Invoker.PID)
		a.text("kill.oom.invoker.name", o.Invoker.Command)
		if behindOf(e).Evidence == "" { // a request has evidence of its own
			a.written("kill.evidence", string(evidenceOf(o)))
		}
	}
	if target == nil || target.Memory == nil {
		return
	}
	m := target.Memory
	a.amount("kill.oom.anon_rss", m.AnonRSS)
	a.amount("kill.oom.file_rss", m.FileRSS)
	a.amount("kill.oom.shmem_rss", m.ShmemRSS)
	a.amount("kill.oom.total_vm", m.TotalVM)
	a.amount("kill.oom.page_tables", m.PageTables)
	a.amount("kill.oom.score_adj", m.ScoreAdj)
}

// evidenceOf returns how it is known what was out of memory; empty if it is not.
func evidenceOf(o *kill.OutOfMemory) kill.Evidence {
	switch {
	case o.Constraint == "":
		return ""
	case o.Inferred:
		return kill.EvidenceInferred
	}
	return kill.EvidenceObserved
}

func (a attributes) amount(key string, amount kill.Amount) {
	if amount.Known {
		a.integer(key, amount.Value)
	}
}

// tellsMemory reports whether more is known than that memory was out.
func tellsMemory(e *kill.Event, target *kill.Process) bool {
	if o := e.OutOfMemory; o != nil && (o.Constraint != "" || o.Invoker.Command != "") {
		return true
	}
	_, known := held(target)
	return known
}

// appendOutOfMemory appends what was out of memory, what the target held of it, and who asked for more.
func appendOutOfMemory(buf []byte, e *kill.Event, target *kill.Process) []byte {
	o := e.OutOfMemory
	if o == nil {
		o = &kill.OutOfMemory{}
	}
	buf = append(buf, ": out of memory"...)
	next := ": "
	if o.Constraint != "" {
		buf = appendConstraint(append(buf, next...), o)
		next = ", "
	}
	itself := target != nil && target.PID != 0 && target.PID == o.Invoker.PID
	if bytes, known := held(target); known {
		buf = append(appendProcess(append(buf, next...), target), " held "...)
		buf = appendBytes(buf, bytes)
		if itself {
			return append(buf, " and asked for more"...)
		}
		next = "; "
	} else if next == ", " {
		next = "; "
	}
	if o.Invoker.Command == "" {
		return buf
	}
	return appendAsker(append(append(buf, next...), "memory was asked for by "...), &o.Invoker)
}

// held returns the resident memory of a target, if that is known.
func held(target *kill.Process) (bytes int64, known bool) {
	if target == nil || target.Memory == nil {
		return 0, false
	}
	m := target.Memory
	return m.AnonRSS.Value + m.FileRSS.Value + m.ShmemRSS.Value, m.AnonRSS.Known && m.FileRSS.Known && m.ShmemRSS.Known
}

// appendConstraint appends what was out of memory.
func appendConstraint(buf []byte, o *kill.OutOfMemory) []byte {
	if o.Inferred {
		buf = append(buf, "probably "...)
	}
	switch o.Constraint {
	case kill.OOMConstraintNone:
		return append(buf, "the host had none left"...)
	case kill.OOMConstraintCpuset:
		return append(buf, "the memory nodes of a cpuset had none left"...)
	case kill.OOMConstraintMempolicy:
		return append(buf, "the memory nodes of a memory policy had none left"...)
	case kill.OOMConstraintMemcg:
	default: // one of a newer kernel
		return visible.AppendWord(append(buf, "constraint "...), string(o.Constraint), visible.NameLimit)
	}
	if o.Cgroup == "" {
		buf = append(buf, "a control group"...)
	} else {
		buf = visible.AppendWord(buf, o.Cgroup, maxPath)
	}
	buf = append(buf, " reached its limit"...)
	if o.Limit.Known {
		buf = appendBytes(append(buf, " of "...), o.Limit.Value)
	}
	return buf
}

// appendBytes appends an amount of memory in the unit in which people set limits, with one decimal at most:
// 2 GiB, 1.9 GiB.
func appendBytes(buf []byte, bytes int64) []byte {
	if bytes < 1<<10 {
		return append(strconv.AppendInt(buf, bytes, 10), " bytes"...)
	}
	value, units := float64(bytes), []string{" KiB", " MiB", " GiB", " TiB", " PiB", " EiB"}
	for _, unit := range units {
		value /= 1 << 10
		if rounded := math.Round(value*10) / 10; rounded < 1<<10 {
			return append(strconv.AppendFloat(buf, rounded, 'f', -1, 64), unit...)
		}
	}
	return buf // no number is as large
}
