// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"encoding/xml"
	"errors"
	"flag"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// night is three nights of a cron job, and a few kills by a person in between.
func night() *Timeline {
	timeline := New("Kills of mysqld", berlin)
	for day := 1; day <= 3; day++ {
		at := time.Date(2025, 9, day, 2, 0, 0, 0, berlin)
		timeline.Add(Mark{at, "/usr/local/bin/backup.sh", "", "SIGTERM", Delivered})
		timeline.Add(Mark{at.Add(30 * time.Second), "/usr/local/bin/backup.sh", "", "SIGKILL", Delivered})
	}
	timeline.Add(Mark{time.Date(2025, 9, 2, 14, 0, 0, 0, berlin), "/usr/bin/kill", "", "SIGKILL", Failed})
	timeline.Add(Mark{time.Date(2025, 9, 2, 14, 30, 0, 0, berlin), "/usr/bin/kill", "", "SIGTERM", Unknown})
	timeline.Add(Mark{time.Date(2025, 9, 2, 15, 0, 0, 0, berlin), "/usr/bin/kill", "", "SIGHUP", Delivered})
	return timeline
}

func TestGolden(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "night.svg")
	require.NoError(t, night().Save(path))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	golden := filepath.Join("testdata", "night.svg")
	if *update {
		require.NoError(t, os.WriteFile(golden, got, 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	equalBut(t, string(want), string(got), 0.02)
}

// equalBut compares texts whose numbers may differ a little, as those of processors with fused
// multiplication do.
func equalBut(t *testing.T, want, got string, delta float64) {
	t.Helper()
	number := regexp.MustCompile(`-?\d+(\.\d+)?(e-?\d+)?`)
	require.Equal(t, number.ReplaceAllString(want, "0"), number.ReplaceAllString(got, "0"))
	wants, gots := number.FindAllString(want, -1), number.FindAllString(got, -1)
	for i := range wants {
		w, err := strconv.ParseFloat(wants[i], 64)
		require.NoError(t, err)
		g, err := strconv.ParseFloat(gots[i], 64)
		require.NoError(t, err)
		require.InDelta(t, w, g, delta)
	}
}

// TestText has what a drawing says in words, from top to bottom.
func TestText(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		drawing *Timeline
		want    []string
	}{
		"three nights": {night(), []string{
			"Kills of mysqld", "9 signals (1 failed, 1 may have failed) by 2 senders, 2025-09-01 02:00:00 to 2025-09-03 02:00:30 CEST",
			"6", "/usr/local/bin/backup.sh", "3", "/usr/bin/kill",
			"03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "Tue 2 Sep", "00:00", "03:00", "06:00", "09:00",
			"12:00", "15:00", "18:00", "21:00", "Wed 3 Sep", "00:00", "Mon 1 Sep",
			"SIGKILL", "SIGTERM", "SIGHUP", "hollow: failed", "pale: may have failed",
		}},
		"a single kill": {drawSet(t, "one"), []string{
			"Kills of mysqld", "1 signal by 1 sender, 2025-09-17 02:00:03 CEST", "1", "/usr/bin/kill",
			"01:59:35", "01:59:40", "01:59:45", "01:59:50", "01:59:55", "02:00:00", "02:00:05", "02:00:10", "02:00:15",
			"02:00:20", "02:00:25", "02:00:30", "Wed 17 Sep", "SIGKILL",
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.want, texts(t, test.drawing))
		})
	}
}

// texts returns the texts of a drawing, which must be XML.
func texts(t *testing.T, drawing *Timeline) (all []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "drawing.svg")
	require.NoError(t, drawing.Save(path))
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	decoder := xml.NewDecoder(file)
	for inText := false; ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		switch token := token.(type) {
		case xml.StartElement:
			inText = token.Name.Local == "text"
		case xml.CharData:
			if inText {
				all = append(all, string(token))
			}
		case xml.EndElement:
			inText = false
		}
	}
}

func TestNamesAreLegible(t *testing.T) {
	t.Parallel()
	got := texts(t, drawSet(t, "odd names"))
	assert.Contains(t, got, `\x1b[31mred\a`)
	assert.Contains(t, got, `<script>alert('&')</script>`)
	assert.Contains(t, got, `/usr/bin/ぷろせす`)
	assert.Contains(t, got, `\xff\xfe`)
	assert.Contains(t, got, `unknown`)

	image := &pen{regular: faces().regular, ownLetters: true}
	assert.Equal(t, `/usr/bin/\u3077 naïve`, image.legible("/usr/bin/ぷ naïve"), "an image has the letters of its font only")
}

// TestLabelsHaveRoom has labels that would be written over each other or beyond the edge.
func TestLabelsHaveRoom(t *testing.T) {
	t.Parallel()
	between := func(from, to time.Time) []string {
		drawing := New("", time.UTC)
		drawing.Add(Mark{from, "sender", "", "SIGKILL", Delivered})
		drawing.Add(Mark{to, "sender", "", "SIGKILL", Delivered})
		return texts(t, drawing)
	}
	got := between(noon.Add(11*time.Hour+55*time.Minute), noon.Add(15*time.Hour))
	assert.Contains(t, got, "Thu 18 Sep")
	assert.NotContains(t, got, "Wed 17 Sep", "there is no room before midnight")

	got = between(noon, noon.Add(994*time.Millisecond))
	assert.Contains(t, got, "12:00:00.800")
	assert.NotContains(t, got, "12:00:01.000", "there is no room at the right")
}

func TestLongSpans(t *testing.T) {
	t.Parallel()
	drawing := New(strings.Repeat("a long title ", 100), berlin)
	drawing.Add(Mark{time.Unix(0, 0), "first", "", "SIGKILL", Delivered})
	drawing.Add(Mark{time.Date(9999, 12, 31, 12, 0, 0, 0, time.UTC), "last", "", "SIGKILL", Delivered})
	got := texts(t, drawing)
	assert.Less(t, len(got[0]), 200)
	assert.Contains(t, got[0], "…")
	assert.Contains(t, got, "5000")
	assert.Equal(t, "2 signals by 2 senders, 1970-01-01 01:00:00 to 9999-12-31 13:00:00 CET", got[1])
}

// TestImage checks that the colors of the marks are where they belong.
func TestImage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "night.png")
	require.NoError(t, night().Save(path))
	picture := decode(t, path)
	assert.Equal(t, image.Rect(0, 0, 1600, points(header+2*laneHeight+footer)), picture.Bounds())

	first, second := lane0(0), lane0(1)
	for name, test := range map[string]struct {
		in    image.Rectangle
		color color.Color
		runs  int
	}{
		"a disc per night":                     {first, colors[sigkill], 3},
		"a triangle per night":                 {first, colors[sigterm], 3},
		"no other signal in it":                {first, colors[otherSignal], 0},
		"nothing failed in it":                 {first, outlines[sigkill], 0},
		"a diamond":                            {second, colors[otherSignal], 1},
		"what failed is not filled":            {second, colors[sigkill], 0},
		"what failed has an outline, two arcs": {second, outlines[sigkill], 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, test.runs, mostRuns(picture, test.in, test.color))
		})
	}
}

func decode(t *testing.T, path string) image.Image {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	picture, err := png.Decode(file)
	require.NoError(t, err)
	return picture
}

// points converts them to pixels.
func points[T ~float64](p T) int { return int(float64(p)*dpi/72 + 0.5) }

// lane0 returns where a lane is in an image.
func lane0(i int) image.Rectangle {
	top := points(header) + i*points(laneHeight)
	return image.Rect(0, top, 1600, top+points(laneHeight))
}

// mostRuns returns how many separate runs of a color the row of pixels has that has most.
func mostRuns(picture image.Image, in image.Rectangle, c color.Color) (most int) {
	r, g, b, _ := c.RGBA()
	for y := in.Min.Y; y < in.Max.Y; y++ {
		runs, inside := 0, false
		for x := in.Min.X; x < in.Max.X; x++ {
			pr, pg, pb, _ := picture.At(x, y).RGBA()
			same := pr == r && pg == g && pb == b
			if same && !inside {
				runs++
			}
			inside = same
		}
		most = max(most, runs)
	}
	return most
}

func TestFilesOfManyKillsAreSmall(t *testing.T) {
	t.Parallel()
	drawing := New("", time.UTC)
	names := senders(30)
	for i := range 400_000 {
		drawing.Add(Mark{
			noon.Add(time.Duration(i) * time.Minute), names[i%30], "",
			[]string{"SIGKILL", "SIGTERM", "SIGHUP"}[i%7%3], failedIf(i%11%2 == 0),
		})
	}
	for _, extension := range []string{".svg", ".png"} {
		path := filepath.Join(t.TempDir(), "many"+extension)
		require.NoError(t, drawing.Save(path))
		info, err := os.Stat(path)
		require.NoError(t, err)
		t.Log(extension, info.Size())
		assert.Less(t, info.Size(), int64(8<<20))
	}
}

func TestSaveReplacesWhatWasThere(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	path, link := filepath.Join(directory, "a.svg"), filepath.Join(directory, "link.svg")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	require.NoError(t, os.Symlink("a.svg", link))
	require.NoError(t, Check(link))
	require.NoError(t, night().Save(link))
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Contains(t, string(text), "<svg")
	assert.Equal(t, []string{"a.svg", "link.svg"}, list(t, directory))
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		path string
		want string
	}{
		"no extension":      {"drawing", "ends in .svg or .png"},
		"another extension": {"drawing.pdf", "ends in .svg or .png"},
		"a directory":       {"directory.svg", "is not a regular file"},
		"no directory":      {filepath.Join("nowhere", "drawing.svg"), "nowhere does not exist"},
		"below a file":      {filepath.Join("file.svg", "drawing.svg"), "not a directory"},
		"dangling link":     {"dangling.svg", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			directory := t.TempDir()
			require.NoError(t, os.Mkdir(filepath.Join(directory, "directory.svg"), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(directory, "file.svg"), []byte("old"), 0o600))
			require.NoError(t, os.Symlink("nothing", filepath.Join(directory, "dangling.svg")))
			before := list(t, directory)
			path := filepath.Join(directory, test.path)
			if test.want == "" {
				require.NoError(t, Check(path))
			} else {
				require.ErrorContains(t, Check(path), test.want)
				require.ErrorContains(t, Check(path), path)
				require.ErrorContains(t, night().Save(path), test.want)
			}
			assert.Equal(t, before, list(t, directory), "nothing is left behind")
		})
	}
}

func TestNothingToDraw(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	require.ErrorIs(t, New("", time.UTC).Save(filepath.Join(directory, "a.svg")), ErrNothing)
	assert.Empty(t, list(t, directory))
}

// list returns the names in a directory.
func list(t *testing.T, directory string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(directory)
	require.NoError(t, err)
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}
