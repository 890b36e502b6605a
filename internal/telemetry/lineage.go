// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// lineage is a list of parents as it is written: in the form that sentences use, and the command lines in the
// same order, with an empty text for each that is not known; nil if none is.
type lineage struct{ names, titles []string }

// lineages remembers lists of parents by where they are: events share a list, which is never changed. That spares
// looking up each parent, and each command line, however long that is.
type lineages struct {
	write func(parents []kill.Ancestor) lineage
	known map[list]lineage
}

// list identifies a list of parents.
type list struct {
	first  *kill.Ancestor
	length int
}

func newLineages(write func(parents []kill.Ancestor) lineage) lineages {
	return lineages{write: write, known: map[list]lineage{}}
}

func (l *lineages) get(parents []kill.Ancestor) lineage {
	key := list{&parents[0], len(parents)}
	if known, ok := l.known[key]; ok {
		return known
	}
	if len(l.known) >= maxLineages {
		clear(l.known)
	}
	written := l.write(parents)
	l.known[key] = written
	return written
}

// ancestry adds the parents of a process and their command lines.
func (w *writer) ancestry(a attributes, key, titlesKey string, parents []kill.Ancestor) {
	if len(parents) == 0 {
		return
	}
	written := w.lineages.get(parents)
	a.list(key, written.names)
	if written.titles != nil {
		a.list(titlesKey, written.titles)
	}
}

// writeLineage writes a list of parents.
func (w *writer) writeLineage(parents []kill.Ancestor) lineage {
	written := lineage{names: make([]string, len(parents))}
	for i := range parents {
		written.names[i] = w.ancestors.get(relative{parents[i].PID, parents[i].Command})
		title := w.ancestorTitle(parents[i].Title)
		if title == "" {
			continue
		}
		if written.titles == nil {
			written.titles = make([]string, len(parents))
		}
		written.titles[i] = title
	}
	return written
}

// relative is an ancestor as it is named, by the pid and the name alone.
type relative struct {
	pid     int
	command string
}

func (r relative) format() string {
	return string(appendProcess(nil, &kill.Process{PID: r.pid, Command: r.command}))
}
