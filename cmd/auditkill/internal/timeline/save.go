// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/outfile"
)

const (
	// dpi makes an image 1600 pixels wide.
	dpi = 120
	// pixel is the width of one, in points.
	pixel = vg.Inch / dpi
)

// ErrNothing is the error of a drawing without a kill.
var ErrNothing = errors.New("nothing to draw")

// Check returns an error if a drawing cannot be saved as path, before a long log is read.
func Check(path string) error {
	if _, err := encoder(path); err != nil {
		return err
	}
	return outfile.Check(path)
}

// Save writes the drawing as path, in the format that the extension names: .svg or .png.
// What was there is replaced once the drawing is complete.
func (t *Timeline) Save(path string) error {
	encode, err := encoder(path)
	if err != nil {
		return err
	}
	if t.count == 0 {
		return ErrNothing
	}
	return outfile.Replace(path, func(w io.Writer) error { return encode(t, w) })
}

// encoder returns the function that writes the format of path.
func encoder(path string) (func(*Timeline, io.Writer) error, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".svg":
		return (*Timeline).svg, nil
	case ".png":
		return (*Timeline).png, nil
	}
	return nil, fmt.Errorf("cannot draw %s: the name of a drawing ends in .svg or .png", path)
}

func (t *Timeline) png(w io.Writer) error {
	// An image takes twice 7 MB. On a host with little memory, that should not come on top of
	// what reading the log left behind.
	debug.FreeOSMemory()
	width, height := t.size()
	c := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(dpi))
	t.draw(newPen(c, true))
	_, err := vgimg.PngCanvas{Canvas: c}.WriteTo(w)
	return err
}

// WriteSVG writes the drawing as SVG.
func (t *Timeline) WriteSVG(w io.Writer) error {
	if t.count == 0 {
		return ErrNothing
	}
	return t.svg(w)
}

func (t *Timeline) svg(w io.Writer) error {
	c := vgsvg.New(t.size())
	t.draw(newPen(c, false))
	var text bytes.Buffer
	if _, err := c.WriteTo(&text); err != nil {
		return err
	}
	// The canvas names no fonts to fall back on. These have the same metrics.
	_, err := w.Write(bytes.ReplaceAll(text.Bytes(),
		[]byte("font-family:Liberation Sans;"),
		[]byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;")))
	return err
}
