// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pictures writes what only eyes can judge: go test -run TestPictures -pictures DIR
var pictures = flag.String("pictures", "", "write the drawings of TestPictures to this directory")

var berlin = location("Europe/Berlin")

func location(name string) *time.Location {
	l, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return l
}

// sets are realistic kills. Each is the same in each run.
var sets = []struct {
	name string
	add  func(add func(Mark), random *rand.Rand)
}{
	{"nightly", func(add func(Mark), random *rand.Rand) {
		start := time.Date(2025, 9, 1, 2, 0, 0, 0, berlin)
		for day := range 30 {
			at := start.AddDate(0, 0, day)
			add(Mark{at.Add(time.Duration(random.IntN(3000)) * time.Millisecond), "/usr/local/bin/backup.sh", "", "SIGTERM", Delivered})
			add(Mark{at.Add(30 * time.Second), "/usr/local/bin/backup.sh", "", "SIGKILL", Delivered})
		}
		for i, sender := range []string{"/usr/bin/kill", "/usr/bin/pkill", "/usr/lib/systemd/systemd", "/usr/sbin/mysqld_safe", "/opt/app/bin/supervisor", "/usr/bin/bash"} {
			for range 3 + 3*i {
				signal := []string{"SIGKILL", "SIGTERM", "SIGHUP"}[random.IntN(3)]
				add(Mark{start.Add(time.Duration(random.Int64N(int64(29 * 24 * time.Hour)))), sender, "", signal, failedIf(random.IntN(8) == 0)})
			}
		}
	}},
	{"one", func(add func(Mark), _ *rand.Rand) {
		add(Mark{time.Date(2025, 9, 17, 2, 0, 3, 417e6, berlin), "/usr/bin/kill", "", "SIGKILL", Delivered})
	}},
	{"senders", func(add func(Mark), random *rand.Rand) {
		start := time.Date(2025, 9, 16, 17, 30, 0, 0, berlin)
		for i := range 2000 {
			n := int(random.ExpFloat64() * 15)
			add(Mark{start.Add(time.Duration(i) * 79 * time.Second), fmt.Sprintf("/usr/lib/app/worker-%02d/bin/run", n%100), "", "SIGTERM", Delivered})
		}
	}},
	{"million", func(add func(Mark), random *rand.Rand) {
		start := time.Date(2025, 1, 1, 0, 0, 0, 0, berlin)
		for i := range 1_000_000 {
			n := min(random.IntN(5000), random.IntN(5000), random.IntN(5000))
			at := start.Add(time.Duration(i) * 31 * time.Second)
			if n%7 == 0 && at.Hour() > 6 {
				n = 1
			}
			add(Mark{at, fmt.Sprintf("/opt/batch/job-%04d", n), "", []string{"SIGTERM", "SIGTERM", "SIGKILL"}[n%3], failedIf(n%11 == 0)})
		}
	}},
	{"second", func(add func(Mark), random *rand.Rand) {
		start := time.Date(2025, 9, 17, 11, 59, 59, 600e6, berlin)
		for i := range 60 {
			add(Mark{start.Add(time.Duration(random.IntN(900)) * time.Millisecond), []string{"/usr/bin/killall", "/usr/bin/pkill", "/usr/bin/timeout"}[i%3], "", []string{"SIGTERM", "SIGKILL"}[i/30], Delivered})
		}
	}},
	{"summertime", func(add func(Mark), _ *rand.Rand) {
		for i := range 24 {
			add(Mark{time.Date(2025, 3, 29, 18, 0, 0, 0, berlin).Add(time.Duration(i) * time.Hour), "/usr/sbin/cron", "", "SIGTERM", Delivered})
		}
	}},
	{"wintertime", func(add func(Mark), _ *rand.Rand) {
		for i := range 8 {
			add(Mark{time.Date(2025, 10, 25, 23, 0, 0, 0, berlin).Add(time.Duration(i) * time.Hour), "/usr/sbin/cron", "", "SIGUSR1", Delivered})
		}
	}},
	{"failed", func(add func(Mark), random *rand.Rand) {
		start := time.Date(2025, 9, 17, 9, 0, 0, 0, time.UTC)
		for i := range 40 {
			sender := []string{"/home/eve/probe", "/usr/bin/kill", "/usr/bin/fuser"}[i%3]
			add(Mark{start.Add(time.Duration(random.IntN(7200)) * time.Second), sender, "", []string{"SIGKILL", "SIGTERM", "SIGHUP", "SIGINT", "SIGUSR1", "SIGUSR2", "signal 0"}[random.IntN(7)], failedIf(i%3 == 0 || random.IntN(3) == 0)})
		}
	}},
	{"odd names", func(add func(Mark), _ *rand.Rand) {
		start := time.Date(2025, 9, 17, 9, 0, 0, 0, time.UTC)
		for i, sender := range []string{
			"/usr/bin/ぷろせす", "\x1b[31mred\x07", "<script>alert('&')</script>", "", "\xff\xfe", "خادم", "naïve",
			strings.Repeat("/very/long", 40) + "/end",
		} {
			add(Mark{start.AddDate(0, i, 3*i), sender, "", "SIGKILL", Delivered})
		}
	}},
	{"year", func(add func(Mark), random *rand.Rand) {
		start := time.Date(2024, 11, 5, 3, 0, 0, 0, berlin)
		for week := range 52 {
			add(Mark{start.AddDate(0, 0, 7*week), "/etc/cron.weekly/rotate", "", "SIGHUP", Delivered})
			if week%3 == 0 {
				add(Mark{start.AddDate(0, 0, 7*week+random.IntN(7)), "/usr/bin/kill", "", "SIGKILL", Delivered})
			}
		}
	}},
}

// drawSet returns the drawing of a set.
func drawSet(t *testing.T, name string) *Timeline {
	t.Helper()
	for _, set := range sets {
		if set.name == name {
			drawing := New("Kills of mysqld", berlin)
			set.add(drawing.Add, rand.New(rand.NewPCG(1, 2))) //nolint:gosec // the same in each run
			return drawing
		}
	}
	require.FailNow(t, "no such set", name)
	return nil
}

func TestPictures(t *testing.T) {
	t.Parallel()
	directory := *pictures
	if directory == "" {
		directory = t.TempDir()
	}
	for _, set := range sets {
		t.Run(set.name, func(t *testing.T) {
			t.Parallel()
			drawing := drawSet(t, set.name)
			for _, extension := range []string{".png", ".svg"} {
				require.NoError(t, drawing.Save(filepath.Join(directory, set.name+extension)))
			}
		})
	}
}

func failedIf(failed bool) Result {
	if failed {
		return Failed
	}
	return Delivered
}
