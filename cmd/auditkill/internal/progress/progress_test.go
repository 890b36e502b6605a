// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package progress

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	kB int64 = 1e3
	mB int64 = 1e6
	gB int64 = 1e9
)

// TestLine has the bar at one moment.
func TestLine(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		columns     int
		total, done int64
		after       time.Duration
		want        string
	}{
		"80 columns":                  {80, gB, 450 * mB, 2 * time.Second, "[############...............]  45% 450 MB of 1.0 GB, 225 MB/s, 3 s left"},
		"a width that nobody tells":   {0, gB, 450 * mB, 2 * time.Second, "[############...............]  45% 450 MB of 1.0 GB, 225 MB/s, 3 s left"},
		"200 columns":                 {200, gB, 450 * mB, 2 * time.Second, "[######################............................]  45% 450 MB of 1.0 GB, 225 MB/s, 3 s left"},
		"40 columns":                  {40, gB, 450 * mB, 2 * time.Second, " 45% 450 MB, 225 MB/s, 3 s left"},
		"20 columns":                  {20, gB, 450 * mB, 2 * time.Second, " 45%, 3 s left"},
		"10 columns":                  {10, gB, 450 * mB, 2 * time.Second, " 45%"},
		"2 columns":                   {2, gB, 450 * mB, 2 * time.Second, "."},
		"1 column":                    {1, gB, 450 * mB, 2 * time.Second, ""},
		"the total is unknown":        {80, -1, 450 * mB, 2 * time.Second, "450 MB read, 225 MB/s"},
		"unknown, 20 columns":         {20, -1, 450 * mB, 2 * time.Second, "450 MB, 225 MB/s"},
		"unknown, 8 columns":          {8, -1, 450 * mB, 2 * time.Second, "450 MB"},
		"the beginning":               {80, 100 * gB, 12 * kB, time.Second, "[...........................]   0% 12 kB of 100 GB, 12 kB/s, days left"},
		"hours":                       {80, 100 * gB, 10 * mB, time.Second, "[...........................]   0% 10 MB of 100 GB, 10 MB/s, 2 h 47 min left"},
		"minutes":                     {80, 10 * gB, 100 * mB, time.Second, "[...........................]   1% 100 MB of 10 GB, 100 MB/s, 2 min left"},
		"nothing yet":                 {80, gB, 0, time.Second, "[...........................]   0% 0 B of 1.0 GB, 0 B/s"},
		"all":                         {80, gB, gB, 2 * time.Second, "[###########################] 100% 1.0 GB of 1.0 GB, 500 MB/s"},
		"more than was there":         {80, gB, 2 * gB, 2 * time.Second, "[###########################] 100% 2.0 GB of 1.0 GB, 1.0 GB/s"},
		"nothing to read but a lot":   {80, 0, 2 * gB, 2 * time.Second, "[###########################] 100% 2.0 GB of 0 B, 1.0 GB/s"},
		"the longest text, 80":        {80, 999 * mB, 999 * kB, 359 * time.Second, "[...........................]   0% 999 kB of 999 MB, 2.8 kB/s, 99 h 38 min left"},
		"sizes round to the next one": {80, -1, 999_960_000, 10 * time.Second, "1.0 GB read, 100 MB/s"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				columns := test.columns
				if columns == 0 {
					columns = 80
				}
				screen := newScreen(t, columns)
				bar := New(screen, func() int { return test.columns }, test.total)
				time.Sleep(test.after)
				bar.Add(test.done)
				assert.Equal(t, test.want, screen.text())
				bar.Finish()
				assert.Empty(t, screen.text())
			})
		})
	}
}

// TestWholeRun reads logs of any size at any width to their end.
func TestWholeRun(t *testing.T) {
	t.Parallel()
	for _, columns := range []int{1, 2, 3, 5, 10, 20, 40, 53, 80, 120, 200} {
		for _, total := range []int64{-1, 0, 1, 900 * kB, 999 * mB, 123 * gB, 1 << 62} {
			t.Run(fmt.Sprintf("%d columns, %d bytes", columns, total), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					screen := newScreen(t, columns)
					bar := New(screen, screen.width, total)
					step := max(total, gB) / 400
					for range 500 {
						bar.Add(step)
						time.Sleep(50 * time.Millisecond)
						assert.Less(t, len(screen.text()), columns, "the last column stays empty")
					}
					assert.False(t, screen.wrapped)
					bar.Finish()
					bar.Add(step)
					time.Sleep(time.Second)
					bar.Add(step)
					assert.Empty(t, screen.text())
				})
			})
		}
	}
}

func TestPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		screen := newScreen(t, 80)
		bar := New(screen, screen.width, gB)
		for range 999 {
			time.Sleep(time.Millisecond)
			bar.Add(100 * kB)
		}
		assert.Zero(t, screen.count(), "it is short yet")
		time.Sleep(time.Millisecond)
		bar.Add(100 * kB)
		assert.Contains(t, screen.text(), "10%")
		screen.count()
		for range 1000 {
			time.Sleep(time.Millisecond)
			bar.Add(100 * kB)
		}
		assert.Equal(t, 10, screen.count(), "ten times a second")
		bar.Finish()
		bar.Finish()
		assert.Equal(t, 1, screen.count())
	})
}

// TestShortReadsSayNothing has a bar that is done within the second.
func TestShortReadsSayNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		screen := newScreen(t, 80)
		bar := New(screen, screen.width, gB)
		time.Sleep(900 * time.Millisecond)
		bar.Add(gB)
		bar.Finish()
		assert.Zero(t, screen.count())
	})
}

func TestRowsAbove(t *testing.T) {
	t.Parallel()
	for _, columns := range []int{40, 80, 200} {
		t.Run(fmt.Sprintf("%d columns", columns), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				screen := newScreen(t, columns)
				bar := New(screen, screen.width, gB)
				rows := bar.Above(screen)
				var want strings.Builder
				for i := range 100 {
					time.Sleep(100 * time.Millisecond)
					bar.Add(10 * mB)
					fmt.Fprintf(rows, "row %d\n", i)
					fmt.Fprintf(&want, "row %d\n", i)
				}
				bar.Add(1)
				bar.Finish()
				assert.Equal(t, want.String(), screen.text())
			})
		})
	}
}

func TestComesBackBelowARow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		screen := newScreen(t, 80)
		bar := New(screen, screen.width, gB)
		time.Sleep(time.Second)
		bar.Add(10 * mB)
		assert.NotEmpty(t, screen.text())
		fmt.Fprintln(bar.Above(screen), "row")
		assert.Equal(t, "row\n", screen.text())
		bar.Add(0)
		assert.Equal(t, "row\n", screen.text(), "it would flicker")
		time.Sleep(interval)
		bar.Add(0)
		assert.Greater(t, len(screen.text()), len("row\n"))
	})
}

// TestRowsAboveFromAnotherGoroutine is to be run with -race as well.
func TestRowsAboveFromAnotherGoroutine(t *testing.T) {
	t.Parallel()
	screen := newScreen(t, 40)
	bar := New(screen, screen.width, gB)
	bar.start = bar.start.Add(-time.Minute)
	var wait sync.WaitGroup
	wait.Go(func() {
		for range 10_000 {
			bar.Add(100 * kB)
			bar.mu.Lock()
			bar.drawn = time.Time{}
			bar.mu.Unlock()
		}
	})
	rows := bar.Above(screen)
	var want strings.Builder
	for i := range 1000 {
		// A row in two parts must not be torn.
		fmt.Fprintf(rows, "row ")
		fmt.Fprintf(rows, "%d\n", i)
		fmt.Fprintf(&want, "row %d\n", i)
	}
	wait.Wait()
	bar.Finish()
	assert.Equal(t, want.String(), screen.text())
}

// TestUnfinishedRows has a row that is written in two parts, and bytes in between.
func TestUnfinishedRows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		screen := newScreen(t, 80)
		bar := New(screen, screen.width, gB)
		rows := bar.Above(screen)
		time.Sleep(time.Second)
		bar.Add(10 * mB)
		fmt.Fprint(rows, "half")
		time.Sleep(time.Second)
		bar.Add(10 * mB)
		assert.Equal(t, "half", screen.text())
		fmt.Fprint(rows, " and half\n")
		bar.Add(10 * mB)
		assert.Contains(t, screen.text(), "half and half\n[")
		bar.Finish()
		assert.Equal(t, "half and half\n", screen.text())
	})
}

// TestShorterLines has a line after a longer one. Nothing may be left of the longer one.
func TestShorterLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		screen := newScreen(t, 80)
		bar := New(screen, screen.width, -1)
		time.Sleep(time.Second)
		bar.Add(999 * kB)
		assert.Equal(t, "999 kB read, 999 kB/s", screen.text())
		time.Sleep(8 * time.Second)
		bar.Add(kB)
		assert.Equal(t, "1.0 MB read, 111 kB/s", screen.text())
		time.Sleep(time.Hour)
		bar.Add(kB)
		assert.Equal(t, "1.0 MB read, 277 B/s", screen.text())
	})
}

// TestTimeLeftFollowsTheRate reads compressed files, slow for their size on the disk, and
// then plain ones.
func TestTimeLeftFollowsTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		screen := newScreen(t, 80)
		bar := New(screen, screen.width, 10*gB)
		read := func(seconds int, perSecond int64) string {
			for range 10 * seconds {
				time.Sleep(100 * time.Millisecond)
				bar.Add(perSecond / 10)
			}
			return screen.text()
		}
		assert.Contains(t, read(60, 20*mB), "20 MB/s, 8 min left")
		assert.Contains(t, read(10, 500*mB), "500 MB/s, 8 s left")
		time.Sleep(5 * time.Second)
		bar.Add(0)
		assert.Contains(t, screen.text(), "308 MB/s, 13 s left", "a pause counts")
	})
}

func TestNoBar(t *testing.T) {
	t.Parallel()
	var bar *Bar
	bar.Add(1)
	bar.Finish()
	var rows bytes.Buffer
	assert.Same(t, &rows, bar.Above(&rows))
}

// TestPseudoTerminal has what a real terminal gets.
func TestPseudoTerminal(t *testing.T) {
	t.Parallel()
	for _, columns := range []uint16{40, 80, 200} {
		t.Run(fmt.Sprintf("%d columns", columns), func(t *testing.T) {
			t.Parallel()
			terminal, tty, err := pty.Open()
			require.NoError(t, err)
			require.NoError(t, pty.Setsize(tty, &pty.Winsize{Rows: 24, Cols: columns}))
			width := func() int {
				size, err := pty.GetsizeFull(tty)
				require.NoError(t, err)
				return int(size.Cols)
			}
			screen := newScreen(t, int(columns))
			var wait sync.WaitGroup
			wait.Go(func() { copyAll(screen, terminal) })

			bar := New(tty, width, gB)
			bar.start = bar.start.Add(-time.Minute)
			rows := bar.Above(tty)
			for i := range 100 {
				bar.Add(10 * mB)
				bar.drawn = time.Time{}
				fmt.Fprintf(rows, "row %d\n", i)
			}
			bar.Add(1)
			bar.Finish()
			require.NoError(t, tty.Close())
			wait.Wait()
			require.NoError(t, terminal.Close())
			var want strings.Builder
			for i := range 100 {
				fmt.Fprintf(&want, "row %d\n", i)
			}
			assert.Equal(t, want.String(), screen.text())
			assert.False(t, screen.wrapped)
		})
	}
}

// copyAll reads a terminal until its other side is closed, which is the error EIO.
func copyAll(to *screen, from *os.File) {
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		_, _ = to.Write(buffer[:n])
		if err != nil {
			return
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	bar := New(&bytes.Buffer{}, func() int { return 80 }, gB)
	b.ReportAllocs()
	for b.Loop() {
		bar.Add(1)
	}
}
