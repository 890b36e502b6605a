// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package filesource

// report updates the counts from time to time: an atomic operation for each line would take
// a good part of the time that a line takes.
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
