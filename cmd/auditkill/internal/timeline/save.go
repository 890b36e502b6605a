// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
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
	file, err := create(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Remove(file.Name()))
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
	return replace(path, func(w io.Writer) error { return encode(t, w) })
}

// replace replaces path by what write writes, or leaves everything as it was.
func replace(path string, write func(io.Writer) error) (err error) {
	file, err := create(path)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	if err := errors.Join(write(file), file.Close()); err != nil {
		return fmt.Errorf("cannot write the drawing: %w", err)
	}
	if err := os.Rename(file.Name(), target(path)); err != nil {
		return fmt.Errorf("cannot write the drawing: %w", err)
	}
	return nil
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

// create opens a new file beside path, for a drawing that is to become path.
func create(path string) (*os.File, error) {
	path = target(path)
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("cannot draw %s: it is not a regular file", path)
	}
	// Unlike os.CreateTemp this leaves the mode to the umask.
	name := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+"."+rand.Text())
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666) //nolint:gosec // as any file, less the umask
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot draw %s: the directory %s does not exist", path, filepath.Dir(path))
	}
	if err != nil {
		return nil, fmt.Errorf("cannot draw %s: %w", path, err)
	}
	return file, nil
}

// target follows symbolic links, so that the file is replaced and not the link to it.
func target(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	return path
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
