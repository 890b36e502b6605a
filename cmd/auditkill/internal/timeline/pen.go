// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"fmt"
	"image/color"
	"math"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"codeberg.org/go-fonts/liberation/liberationsansbold"
	"codeberg.org/go-fonts/liberation/liberationsansregular"
	xfont "golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
)

var (
	white = color.RGBA{255, 255, 255, 255}
	ink   = color.RGBA{0x20, 0x24, 0x28, 255}
	faint = color.RGBA{0x66, 0x6c, 0x74, 255}
	shade = color.RGBA{0xf4, 0xf5, 0xf7, 255}
	grid1 = color.RGBA{0xdc, 0xdf, 0xe3, 255}
	grid2 = color.RGBA{0x9a, 0xa1, 0xa9, 255}
	// colors are those of Okabe and Ito, which people with any color vision can distinguish.
	colors = [signals]color.Color{
		sigkill:     color.RGBA{0xd5, 0x5e, 0x00, 255},
		sigterm:     color.RGBA{0x00, 0x72, 0xb2, 255},
		otherSignal: color.RGBA{0x00, 0x8e, 0x68, 255},
	}
	// pales are those colors in a third of their strength.
	pales = [signals + 1]color.Color{
		sigkill:     color.RGBA{0xf1, 0xc9, 0xaa, 255},
		sigterm:     color.RGBA{0xaa, 0xd0, 0xe5, 255},
		otherSignal: color.RGBA{0xaa, 0xd9, 0xcd, 255},
		anySignal:   grid1,
	}
	// outlines are darker, to be seen above others of their color.
	outlines = [signals + 1]color.Color{
		sigkill:     color.RGBA{0x96, 0x3c, 0x00, 255},
		sigterm:     color.RGBA{0x00, 0x48, 0x80, 255},
		otherSignal: color.RGBA{0x00, 0x5c, 0x42, 255},
		anySignal:   faint,
	}
)

// faces parses the two fonts when the first drawing needs them.
var faces = sync.OnceValue(func() (f struct{ regular, bold font.Face }) {
	f.regular = face(liberationsansregular.TTF, xfont.WeightNormal, textSize)
	f.bold = face(liberationsansbold.TTF, xfont.WeightBold, titleSize)
	return f
})

func face(ttf []byte, weight xfont.Weight, size vg.Length) font.Face {
	parsed, err := opentype.Parse(ttf)
	if err != nil {
		panic(fmt.Sprintf("timeline: the font in the program cannot be parsed: %v", err))
	}
	return font.Face{
		Font: font.Font{Typeface: "Liberation", Variant: "Sans", Weight: weight, Size: size},
		Face: parsed,
	}
}

// pen draws onto a canvas.
type pen struct {
	canvas        vg.Canvas
	regular, bold font.Face
	// ownLetters is true if the canvas has no letters except those of the fonts.
	ownLetters bool
}

func newPen(c vg.Canvas, ownLetters bool) *pen {
	return &pen{canvas: c, regular: faces().regular, bold: faces().bold, ownLetters: ownLetters}
}

// legible returns the text with an escape, as in Go, in place of each letter that has no shape
// or that the canvas cannot draw.
func (p *pen) legible(text string) string {
	var b strings.Builder
	var buffer sfnt.Buffer
	for text != "" {
		r, size := utf8.DecodeRuneInString(text)
		glyph, err := p.regular.Face.GlyphIndex(&buffer, r)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case !unicode.IsPrint(r), p.ownLetters && (err != nil || glyph == 0):
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		default:
			b.WriteRune(r)
		}
		text = text[size:]
	}
	return b.String()
}

func (p *pen) fill(c color.Color, path vg.Path) {
	p.canvas.SetColor(c)
	p.canvas.Fill(path)
}

func (p *pen) stroke(c color.Color, width vg.Length, path vg.Path) {
	p.canvas.SetColor(c)
	p.canvas.SetLineWidth(width)
	p.canvas.Stroke(path)
}

// line draws a line of one pixel, onto pixels instead of between them.
func (p *pen) line(c color.Color, x0, y0, x1, y1 vg.Length) {
	onto := func(v vg.Length) vg.Length {
		return (vg.Length(math.Floor(float64(v/pixel))) + 0.5) * pixel
	}
	var path vg.Path
	path.Move(vg.Point{X: onto(x0), Y: onto(y0)})
	path.Line(vg.Point{X: onto(x1), Y: onto(y1)})
	p.stroke(c, pixel, path)
}

func (p *pen) write(f font.Face, c color.Color, x, y vg.Length, text string) {
	p.canvas.SetColor(c)
	p.canvas.FillString(f, vg.Point{X: x, Y: y}, text)
}

// writeRight writes a text that ends at x.
func (p *pen) writeRight(f font.Face, c color.Color, x, y vg.Length, text string) {
	p.write(f, c, x-f.Width(text), y, text)
}

// cut shortens a text in the middle until it fits: paths differ at both ends.
func (p *pen) cut(f font.Face, text string, width vg.Length) string {
	whole := text
	for limit := len(whole) - 1; f.Width(text) > width && limit > len("…"); limit-- {
		text = shorten(whole, limit)
	}
	return text
}

func rectangle(x0, y0, x1, y1 vg.Length) vg.Path {
	return vg.Rectangle{Min: vg.Point{X: x0, Y: y0}, Max: vg.Point{X: x1, Y: y1}}.Path()
}
