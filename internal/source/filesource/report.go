// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

// report brings the counts up to date, now and then: an atomic operation for each single
// line would cost a good part of the line.
func (s *Source) report() {
	counts, now, was := s.settings.Counts, s.scanner.Counts(), s.reported
	counts.Records.Add(now.Records - was.Records)
	counts.Bytes.Add(now.Bytes - was.Bytes)
	counts.Malformed.Add(now.Malformed - was.Malformed)
	counts.TooLong.Add(now.TooLong - was.TooLong)
	s.reported = now

	correlated := s.scanner.Correlator.Counts()
	counts.Incomplete.Add(correlated.Incomplete - s.correlated.Incomplete)
	counts.Evicted.Add(correlated.Evicted - s.correlated.Evicted)
	s.correlated = correlated
}
