// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"fmt"
	"math"
	"strings"
)

const (
	// defaultColumns is the width of a terminal that does not report it.
	defaultColumns = 80
	// longestText is the longest text beside the gauge. The gauge takes the rest, so that its
	// length depends only on the terminal.
	longestText = len("100% 999 MB of 999 MB, 999 MB/s, 99 h 59 min left")
	// The gauge is drawn between these widths. A shorter one would say less than the
	// percentage, a longer one no more.
	minGauge, maxGauge = 10, 50
)

// line returns the bar as it looks now: as much as fits. The last column stays empty, because
// some terminals begin a new line once it is written.
func (b *Bar) line() string {
	columns := b.width()
	if columns <= 0 {
		columns = defaultColumns
	}
	room := columns - 1
	gauge := b.gauge(room - longestText)
	texts := b.texts()
	for _, text := range texts {
		if len(gauge)+len(text) <= room {
			return gauge + text
		}
	}
	return texts[len(texts)-1][:min(room, len("..."))]
}

// gauge returns the gauge and a space, or nothing if there is too little room.
func (b *Bar) gauge(room int) string {
	inner := min(room-len("[] "), maxGauge)
	if b.total < 0 || inner < minGauge {
		return ""
	}
	full := int(float64(inner) * b.fraction())
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", inner-full) + "] "
}

// texts returns the texts to choose from, the longest first. The last one is cut if even three
// columns are too many.
func (b *Bar) texts() []string {
	done := size(float64(b.done))
	perSecond := b.rate.perSecond()
	speed := size(perSecond) + "/s"
	if b.total < 0 {
		return []string{done + " read, " + speed, done + ", " + speed, done, "..."}
	}
	percent := fmt.Sprintf("%3d%%", int(100*b.fraction()))
	whole := percent + " " + done + " of " + size(float64(b.total))
	texts := []string{whole + ", " + speed, whole, percent + " " + done, percent, "..."}
	if left := b.left(perSecond); left != "" {
		texts = append([]string{
			whole + ", " + speed + ", " + left,
			percent + " " + done + ", " + speed + ", " + left,
			percent + ", " + left,
		}, texts...)
	}
	return texts
}

// fraction returns how much is done, from 0 to 1. A log may have grown since it was measured.
func (b *Bar) fraction() float64 {
	if b.done >= b.total {
		return 1
	}
	return float64(b.done) / float64(b.total)
}

// left returns the time left; empty if it is not known.
func (b *Bar) left(perSecond float64) string {
	if perSecond <= 0 || b.done >= b.total {
		return ""
	}
	seconds := math.Ceil(float64(b.total-b.done) / perSecond)
	switch {
	case seconds >= 100*3600:
		return "days left"
	case seconds >= 3600:
		minutes := int(math.Ceil(seconds / 60))
		return fmt.Sprintf("%d h %02d min left", minutes/60, minutes%60)
	case seconds > 90:
		return fmt.Sprintf("%d min left", int(math.Ceil(seconds/60)))
	}
	return fmt.Sprintf("%d s left", int(seconds))
}

// size returns bytes for people, in units of 1000, like ls -h --si and disks.
func size(bytes float64) string {
	const units = "kMGTPE"
	unit := -1
	for bytes >= 999.5 && unit < len(units)-1 {
		bytes /= 1000
		unit++
	}
	switch {
	case unit < 0:
		return fmt.Sprintf("%.0f B", bytes)
	case bytes < 9.95:
		return fmt.Sprintf("%.1f %cB", bytes, units[unit])
	}
	return fmt.Sprintf("%.0f %cB", bytes, units[unit])
}
