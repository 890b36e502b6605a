// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

import (
	"bytes"

	"go.uber.org/zap"

	"github.com/auditkill/auditkillreceiver/internal/auditrecord"
	"github.com/auditkill/auditkillreceiver/internal/rendering"
)

// rejected logs a line that could not be read, less its text, in which there may be a secret. A line without content is none.
func (s *Source) rejected(line []byte, why error) {
	trimmed := bytes.TrimSpace(line)
	if len(trimmed) == 0 || bytes.Equal(trimmed, []byte("----")) || bytes.HasPrefix(trimmed, []byte("time->")) { // ausearch
		return
	}
	fields := []zap.Field{
		zap.String("path", s.scanner.Path), zap.Int64("offset", int64(s.scanner.At()-s.trail.current.base)), zap.Error(why),
	}
	if looks, helps := rendering.Describe(line); looks != "" {
		fields = append(fields, zap.String("looks_like", looks), zap.String("fix", helps))
	}
	s.sampled.Warn("a line of the log cannot be read", fields...)
}

// warnOfNothing says once of a log that it is none, as nothing else would show it.
func (s *Source) warnOfNothing() {
	counts := s.scanner.Counts()
	none := counts.Records > 0 && counts.Malformed >= counts.Records && s.trail.stamp() == auditrecord.Stamp{}
	if !none || s.warned {
		return
	}
	s.warned = true
	s.settings.Logger.Warn("none of the log's lines is an audit record: no signal can be reported from it; is it the log of auditd?",
		zap.String("path", s.settings.Path), zap.Int64("lines", counts.Records))
}
