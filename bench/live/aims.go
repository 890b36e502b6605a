// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package main

import (
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
)

// aims are what was asked for, with what a run has measured of it.
type aims struct{ rows []aim }

// aim is one of them. The unit is part of its name.
type aim struct {
	name            string
	measured, limit float64
	least           bool // limit is the least that is asked for, not the most
}

func (a *aim) reached() bool {
	if a.least {
		return a.measured >= a.limit
	}
	return a.measured <= a.limit
}

func (a *aims) atMost(name string, measured, limit float64) {
	a.rows = append(a.rows, aim{name: name, measured: measured, limit: limit})
}

func (a *aims) atLeast(name string, measured, limit float64) {
	a.rows = append(a.rows, aim{name: name, measured: measured, limit: limit, least: true})
}

// write writes whether each was reached, as a table; nothing if a run had none.
func (a *aims) write(to io.Writer) error {
	if len(a.rows) == 0 {
		return nil
	}
	table := tabwriter.NewWriter(to, 0, 0, 1, ' ', 0)
	fmt.Fprint(table, "\n| aim\t| asked for\t| measured\t|\t|\n|---\t|--:\t|--:\t|---\t|\n")
	for _, row := range a.rows {
		bound, verdict := "at most", "reached"
		if row.least {
			bound = "at least"
		}
		if !row.reached() {
			verdict = "MISSED"
		}
		fmt.Fprintf(table, "| %s\t| %s %s\t| %s\t| %s\t|\n", row.name, bound, figure(row.limit), figure(row.measured), verdict)
	}
	return table.Flush()
}

// figure writes a number with as many digits as matter.
func figure(value float64) string {
	if value >= 100 {
		return strconv.FormatFloat(value, 'f', 0, 64)
	}
	return strconv.FormatFloat(value, 'g', 3, 64)
}
