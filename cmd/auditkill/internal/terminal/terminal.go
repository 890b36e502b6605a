// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package terminal tells what a command writes to.
package terminal

import (
	"io"
	"os"

	"golang.org/x/term"
)

// Terminal is what a command writes to, which need not be a terminal.
type Terminal struct {
	// IsTerminal is false for files, pipes and whatever else is no terminal.
	IsTerminal bool
	// Color says whether it is to be colored: only a terminal is, unless the user has
	// said no (https://no-color.org) or the terminal cannot.
	Color bool

	fd int
}

// Of looks at a writer.
func Of(w io.Writer) Terminal {
	file, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return Terminal{}
	}
	return Terminal{
		IsTerminal: true, fd: int(file.Fd()),
		Color: os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
	}
}

// Width returns how many columns it has now, as windows are resized; 0 if there is no
// limit, or none is known.
func (t Terminal) Width() int {
	if !t.IsTerminal {
		return 0
	}
	width, _, err := term.GetSize(t.fd)
	if err != nil {
		return 0
	}
	return width
}

// Style is how a text looks on a terminal: the parameter of SGR (ECMA-48, 8.3.117); empty
// for as it is.
type Style string

// These are few, and can be read on a dark and on a light ground.
const (
	Plain  Style = ""
	Bold   Style = "1"
	Dim    Style = "2"
	Red    Style = "31"
	Green  Style = "32"
	Yellow Style = "33"
)

// Paint returns a text in a style, if the terminal is to be colored.
func (t Terminal) Paint(style Style, text string) string {
	if !t.Color || style == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(style) + "m" + text + "\x1b[0m"
}
