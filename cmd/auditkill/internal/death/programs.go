// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package death

import (
	"slices"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// maxPrograms is how many programs of one name are told apart. Beyond it, those of who has the most make room for others', so
	// that nobody displaces these.
	maxPrograms = 64
	// mostNamesakes is how many of them are told.
	mostNamesakes = 3
)

// program is what tells programs of one name apart.
type program struct {
	executable, unit string
	user             kill.ID
}

// programs has the last death of each program that the target may be.
type programs map[program]Moment

func programOf(p *kill.Process) program { return program{p.Executable, unitOf(p), p.User.ID} }

func (p programs) add(m *Moment) {
	one := programOf(m.Target)
	last, known := p[one]
	if known && sameProcess(last.Target, m.Target) && m.rank() < last.rank() || !known && len(p) >= maxPrograms && !p.makeRoom(one.user) {
		return
	}
	p[one] = *m
}

// makeRoom forgets a program of the user who has the most, and reports whether another one's has room now.
func (p programs) makeRoom(user kill.ID) bool {
	counts := map[kill.ID]int{}
	for one := range p {
		counts[one.user]++
	}
	found, most := program{}, 0
	for one := range p {
		if counts[one.user] > most {
			found, most = one, counts[one.user]
		}
	}
	if most <= counts[user]+1 {
		return false
	}
	delete(p, found)
	return true
}

// besides returns the deaths of other programs than that of one death, the latest first, and rather one of each user than
// several of one. What is not known of a program may be the same.
func (p programs) besides(of *Moment) []Moment {
	own := programOf(of.Target)
	var all []Moment
	for one, m := range p {
		if !sameProcess(m.Target, of.Target) && one.differs(own) {
			all = append(all, m)
		}
	}
	latest := func(a, b Moment) int { return b.Time.Compare(a.Time) }
	slices.SortFunc(all, latest)
	told, ofTold := map[kill.ID]bool{own.user: true}, []Moment(nil)
	all = slices.DeleteFunc(all, func(m Moment) bool {
		user := m.Target.User.ID
		if told[user] {
			ofTold = append(ofTold, m)
			return true
		}
		told[user] = true
		return false
	})
	all = append(all, ofTold...)
	all = all[:min(len(all), mostNamesakes)]
	slices.SortFunc(all, latest)
	return all
}

// differs reports whether two are certainly not the same program of the same user.
func (p program) differs(other program) bool {
	return p.executable != "" && other.executable != "" && p.executable != other.executable ||
		p.user.Known && other.user.Known && p.user != other.user
}
