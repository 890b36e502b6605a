// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import "time"

// maxServed is how many jobs are remembered at least of which it is known who has asked for them: those of some minutes on
// the busiest host.
const maxServed = 8192

// served remembers which jobs requests explain. What explains one explains no other one of that unit. The requests
// of one process are remembered together, as it has connected, and then called.
type served struct {
	// latest is filled first; what it had when it was full is in older.
	latest, older map[service]explained
	// requests counts all requests.
	requests uint64
}

// service is what a process has asked for.
type service struct {
	requester
	unit string
}

// requester is a process that makes requests.
type requester struct {
	pid   int
	start time.Duration
	// request is the number of the only request if its process is not known.
	request uint64
}

// explained is the last job of a unit that requests of a process explain, and the number of the last one of these.
type explained struct {
	job  uint32
	last uint64
}

func newServed() *served {
	return &served{latest: map[service]explained{}, older: map[service]explained{}}
}

// number returns the number of a new request.
func (s *served) number() uint64 {
	s.requests++
	return s.requests
}

// requester returns who has made a request.
func (r *request) requester() requester {
	p := &r.Requester
	switch {
	case p.PID == 0:
		return requester{request: r.number}
	case p.Instance == nil:
		return requester{pid: p.PID, start: -1}
	}
	return requester{pid: p.PID, start: p.Instance.SinceBoot}
}

// add notes that a request explains a job of a unit, and with it all that the process has made until now.
func (s *served) add(r *request, unit string, job uint32) {
	if len(s.latest) >= maxServed {
		s.latest, s.older = map[service]explained{}, s.latest
	}
	s.latest[service{r.requester(), unit}] = explained{job: job, last: s.requests}
}

// remove notes that a request does not explain a job of a unit after all.
func (s *served) remove(r *request, unit string) {
	delete(s.latest, service{r.requester(), unit})
	delete(s.older, service{r.requester(), unit})
}

// job returns the job of a unit that a request explains.
func (s *served) job(r *request, unit string) (job uint32, ok bool) {
	k := service{r.requester(), unit}
	x, ok := s.latest[k]
	if !ok {
		x, ok = s.older[k]
	}
	return x.job, ok && r.number <= x.last
}
