// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package live

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/wording"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// core prints the warnings and errors of the receiver's parts, each in one line.
type core struct {
	zapcore.LevelEnabler
	say  func(string)
	with []zapcore.Field
}

func newLogger(say func(string)) *zap.Logger {
	return zap.New(&core{LevelEnabler: zapcore.WarnLevel, say: say})
}

// With implements zapcore.Core.
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{LevelEnabler: c.LevelEnabler, say: c.say, with: slices.Concat(c.with, fields)}
}

// Check implements zapcore.Core.
func (c *core) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

// Write implements zapcore.Core: "warning: what happened: why (bytes 7)".
func (c *core) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	said := []string{wording.Line(entry.Message)}
	encoder := zapcore.NewMapObjectEncoder()
	for _, field := range slices.Concat(c.with, fields) {
		if err, ok := field.Interface.(error); ok && field.Type == zapcore.ErrorType {
			said = append(said, wording.Error(err).Error())
			continue
		}
		field.AddTo(encoder)
	}
	text := strings.Join(said, ": ")
	var details []string
	for _, key := range slices.Sorted(maps.Keys(encoder.Fields)) {
		details = append(details, visible.Message(fmt.Sprintf("%s %v", strings.ReplaceAll(key, "_", " "), encoder.Fields[key])))
	}
	if len(details) > 0 {
		text += " (" + strings.Join(details, ", ") + ")"
	}
	c.say("warning: " + text)
	return nil
}

// Sync implements zapcore.Core.
func (*core) Sync() error { return nil }
