// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package consoleexporter

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/exportertest"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/auditkill/auditkillreceiver/exporter/consoleexporter/internal/metadata"
)

// start returns an exporter that writes to out.
func start(tb testing.TB, out io.Writer, configure func(*Config)) exporter.Logs {
	tb.Helper()
	factory := newFactory(out)
	config := factory.CreateDefaultConfig().(*Config)
	configure(config)
	e, err := factory.CreateLogs(tb.Context(), exportertest.NewNopSettings(metadata.Type), config)
	require.NoError(tb, err)
	require.NoError(tb, e.Start(tb.Context(), componenttest.NewNopHost()))
	tb.Cleanup(func() { require.NoError(tb, e.Shutdown(context.Background())) })
	return e
}

func asShipped(*Config) {}

// records returns a batch with a record for each body.
func records(bodies ...string) plog.Logs {
	logs := plog.NewLogs()
	scope := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	for _, body := range bodies {
		scope.LogRecords().AppendEmpty().Body().SetStr(body)
	}
	return logs
}

func TestLines(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fill func(plog.LogRecord)
		want string
	}{
		"nothing": {func(plog.LogRecord) {}, ""},
		"a body":  {func(r plog.LogRecord) { r.Body().SetStr("a sent SIGKILL to b[7]") }, "a sent SIGKILL to b[7]"},
		"a body of several values": {func(r plog.LogRecord) {
			r.Body().SetEmptyMap().PutStr("text", "a\nb")
		}, `{"text":"a\nb"}`},
		"attributes in their order": {func(r plog.LogRecord) {
			r.Body().SetStr("a sent SIGKILL to b[7]")
			r.Attributes().PutStr("kill.target.name", "b")
			r.Attributes().PutInt("kill.target.pid", 7)
		}, "a sent SIGKILL to b[7] kill.target.name=b kill.target.pid=7"},
		"each kind of value": {func(r plog.LogRecord) {
			attributes := r.Attributes()
			attributes.PutEmpty("empty")
			attributes.PutStr("text", "a b")
			attributes.PutInt("int", -7)
			attributes.PutDouble("double", 0.25)
			attributes.PutBool("bool", true)
			attributes.PutEmptyBytes("bytes").FromRaw([]byte{0, '\n'})
			list := attributes.PutEmptySlice("list")
			list.AppendEmpty().SetStr("x")
			list.AppendEmpty().SetInt(1)
			attributes.PutEmptyMap("map").PutStr("k", "v")
		}, ` empty= text=a b int=-7 double=0.25 bool=true bytes=AAo= list=["x",1] map={"k":"v"}`},
		"a line break in a body": {func(r plog.LogRecord) {
			r.Body().SetStr("a\nb\r\nc\u2028d\u0085e")
		}, `a\nb\r\nc\u2028d\u0085e`},
		"a terminal's sequences": {func(r plog.LogRecord) {
			r.Body().SetStr("\x1b[2J\x1b]0;t\a\b\u009b1m\x00\x7f")
		}, `\x1b[2J\x1b]0;t\a\b\u009b1m\x00\x7f`},
		"another direction of text": {func(r plog.LogRecord) { r.Body().SetStr("\u202eb\u2066\u200b") }, `\u202eb\u2066\u200b`},
		"no UTF-8":                  {func(r plog.LogRecord) { r.Body().SetStr("a\xff\xfe\x9bb") }, "a\uFFFDb"},
		"what is escaped already":   {func(r plog.LogRecord) { r.Body().SetStr(`x\ncron, dm\x2dcrypt.service`) }, `x\ncron, dm\x2dcrypt.service`},
		"a hostile value":           {func(r plog.LogRecord) { r.Attributes().PutStr("k", "v\nFORGED") }, ` k=v\nFORGED`},
		"a hostile name":            {func(r plog.LogRecord) { r.Attributes().PutStr("k\nFORGED\x1b[A", "v") }, ` k\nFORGED\x1b[A=v`},
		"a hostile element": {func(r plog.LogRecord) {
			r.Attributes().PutEmptySlice("k").AppendEmpty().SetStr("v\nFORGED\u202e\u009b")
		}, ` k=["v\nFORGED\u202e\u009b"]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logs := records("")
			test.fill(logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0))
			logs.MarkReadOnly()
			var out bytes.Buffer
			require.NoError(t, start(t, &out, asShipped).ConsumeLogs(t.Context(), logs))
			assert.Equal(t, test.want+"\n", out.String())
		})
	}
}

func TestWithoutAttributes(t *testing.T) {
	t.Parallel()
	logs := records("a sent SIGKILL to b[7]")
	logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Attributes().PutStr("kill.target.name", "b")
	var out bytes.Buffer
	require.NoError(t, start(t, &out, func(c *Config) { c.Attributes = false }).ConsumeLogs(t.Context(), logs))
	assert.Equal(t, "a sent SIGKILL to b[7]\n", out.String())
}

// terminal is a writer that keeps what each call has written. It is not safe for concurrent use, as the exporter must not need that.
type terminal struct {
	writes []string
	// refused are the results of the next calls.
	refused []refusal
}

// refusal is a call that writes a part.
type refusal struct {
	part int
	err  error
}

func (o *terminal) Write(text []byte) (int, error) {
	if len(o.refused) == 0 {
		o.writes = append(o.writes, string(text))
		return len(text), nil
	}
	next := o.refused[0]
	o.refused = o.refused[1:]
	if next.part > 0 {
		o.writes = append(o.writes, string(text[:next.part]))
	}
	return next.part, next.err
}

// Records of all resources and scopes of a batch are one write, and a batch without records none.
func TestOneWritePerBatch(t *testing.T) {
	t.Parallel()
	out := new(terminal)
	e := start(t, out, asShipped)
	logs := records("one", "two")
	logs.ResourceLogs().At(0).ScopeLogs().AppendEmpty().LogRecords().AppendEmpty().Body().SetStr("three")
	records("four").ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
	require.NoError(t, e.ConsumeLogs(t.Context(), logs))
	require.NoError(t, e.ConsumeLogs(t.Context(), plog.NewLogs()))
	require.NoError(t, e.ConsumeLogs(t.Context(), records()))
	assert.Equal(t, []string{"one\ntwo\nthree\nfour\n"}, out.writes)
}

func TestConcurrentBatches(t *testing.T) {
	t.Parallel()
	out := new(terminal)
	e := start(t, out, asShipped)
	const senders, batches = 8, 50
	var wait sync.WaitGroup
	for sender := range senders {
		wait.Go(func() {
			for batch := range batches {
				name := fmt.Sprintf("%d.%d", sender, batch)
				assert.NoError(t, e.ConsumeLogs(t.Context(), records(name, name)))
			}
		})
	}
	wait.Wait()
	assert.Len(t, out.writes, senders*batches)
	for _, text := range out.writes {
		first, second, _ := strings.Cut(text, "\n")
		assert.Equal(t, first+"\n", second)
	}
}

// What was not written is the sender's again, and a line that was begun has an end.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		refused refusal
		writes  []string
	}{
		"a full disk":                   {refusal{err: syscall.ENOSPC}, []string{"first\nsecond\n"}},
		"a disk that filled in a line":  {refusal{part: 8, err: syscall.ENOSPC}, []string{"first\nse", "\nfirst\nsecond\n"}},
		"a disk that filled at its end": {refusal{part: 6, err: syscall.ENOSPC}, []string{"first\n", "first\nsecond\n"}},
		"a pipe without a reader":       {refusal{err: syscall.EPIPE}, []string{"first\nsecond\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := &terminal{refused: []refusal{test.refused}}
			e := start(t, out, asShipped)
			err := e.ConsumeLogs(t.Context(), records("first", "second"))
			require.ErrorIs(t, err, test.refused.err)
			assert.False(t, consumererror.IsPermanent(err))
			require.NoError(t, e.ConsumeLogs(t.Context(), records("first", "second")))
			assert.Equal(t, test.writes, out.writes)
		})
	}
}

// A line that stays torn over two refusals is still ended before the next one.
func TestRefusedTwice(t *testing.T) {
	t.Parallel()
	out := &terminal{refused: []refusal{{part: 2, err: syscall.ENOSPC}, {err: syscall.ENOSPC}}}
	e := start(t, out, asShipped)
	for range 2 {
		require.ErrorIs(t, e.ConsumeLogs(t.Context(), records("first")), syscall.ENOSPC)
	}
	require.NoError(t, e.ConsumeLogs(t.Context(), records("first")))
	require.NoError(t, e.ConsumeLogs(t.Context(), records("second")))
	assert.Equal(t, []string{"fi", "\nfirst\n", "second\n"}, out.writes)
}

func FuzzLine(f *testing.F) {
	f.Add("a\nb", "k\x1b", "v\u2028\xff")
	f.Fuzz(func(t *testing.T, body, name, value string) {
		logs := records(body)
		record := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
		record.Attributes().PutStr(name, value)
		record.Attributes().PutEmptySlice("list").AppendEmpty().SetStr(value)
		line := string((&console{attributes: true}).lines(logs))
		if end := strings.IndexFunc(line, isControl); end != len(line)-1 {
			t.Errorf("%q has a control character before its end", line)
		}
	})
}

func isControl(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029'
}

// BenchmarkConsume writes a batch of a hundred records with as many attributes as a signal has.
func BenchmarkConsume(b *testing.B) {
	logs := plog.NewLogs()
	scope := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	for range 100 {
		record := scope.LogRecords().AppendEmpty()
		record.Body().SetStr("mykill[3997] (/opt/bin/mykill, uid 0, login 500) sent SIGKILL to mysqld[3936]")
		for i := range 20 {
			record.Attributes().PutStr(fmt.Sprintf("kill.attribute.%d", i), "some value")
			record.Attributes().PutInt(fmt.Sprintf("kill.number.%d", i), 123456)
		}
	}
	e := start(b, io.Discard, asShipped)
	b.ReportAllocs()
	for b.Loop() {
		if err := e.ConsumeLogs(b.Context(), logs); err != nil {
			b.Fatal(err)
		}
	}
}

// TestStoppedTerminal has a write not come back: who sends meanwhile waits as long as he wants to.
func TestStoppedTerminal(t *testing.T) {
	t.Parallel()
	out := newOutput(io.Discard)
	out.turn <- struct{}{} // another exporter of the same collector writes
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, out.write(ctx, []byte("x\n")), context.DeadlineExceeded)
	<-out.turn
	require.NoError(t, out.write(t.Context(), []byte("x\n")))
}
