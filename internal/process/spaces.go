// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bytes"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// maxSpaces bounds the user databases that are remembered, maxSpaceUsers the users of one,
	// maxSpaceFile how much of its file is read: what a container's owner writes must not fill the memory.
	maxSpaces     = 128
	maxSpaceUsers = 512
	maxSpaceFile  = 1 << 16
	// maxUserName is the longest name that is believed (useradd(8) allows 32 bytes).
	maxUserName = 64
	// maxReaders is how many databases are read at a time. A file system may let its reader wait
	// for as long as it likes, as one in user space can (fuse(4)).
	maxReaders = 4
	// readerPatience is how long an event waits for a database. If it took longer, no event waits for
	// any until hastyFor is over, and the databases of the user who owns the process are not read until
	// suspension is over.
	readerPatience = 50 * time.Millisecond
	hastyFor       = time.Second
	suspension     = time.Minute
	maxSuspended   = 256
)

// spaceID identifies what a process sees as the root of its files: a mount namespace, and a folder in
// it. The numbers of namespaces that have ended are given out again, so that the user whose process
// it is belongs to it, too: nobody can pass on what he has had there to another.
type spaceID struct {
	namespace uint32
	root      fileID
	mount     uint64
	owner     uint32
}

// fileID identifies a file as the kernel does, while it exists.
type fileID struct {
	dev, ino uint64
}

// version is a file with what changes when it is written.
type version struct {
	fileID
	size             int64
	modified, status time.Duration
}

// space is what there is known about a spaceID.
type space struct {
	users kill.Whose
	file  version
	names map[uint32]string
	at    time.Duration
	// answer is what has been read since began; nil if nothing is being read.
	answer chan reading
	began  time.Duration
}

// reading is what a look at /etc/passwd has brought.
type reading struct {
	users kill.Whose
	file  version
	names map[uint32]string
}

// reader reads /etc/passwd; if the file is the last one that was read, without its names.
type reader func(last version) reading

// spaces remembers whose users the processes of a mount namespace see.
type spaces struct {
	known   map[spaceID]*space
	readers *atomic.Int32
	// suspended holds until when a user's databases are not read.
	suspended map[uint32]time.Duration
	// hasty is until when nobody waits for a database.
	hasty time.Duration
	// hurried is true while somebody asks who holds up others, and never waits.
	hurried bool
}

func newSpaces() spaces {
	return spaces{known: make(map[spaceID]*space), readers: new(atomic.Int32), suspended: make(map[uint32]time.Duration)}
}

func (s *spaces) stale(id spaceID, now time.Duration) bool {
	known := s.known[id]
	return known == nil || now >= known.at+spaceFor
}

func (s *spaces) name(id spaceID, user uint32) string {
	if known := s.known[id]; known != nil {
		return known.names[user]
	}
	return ""
}

// ask returns whose users the processes of a space see. If that has some age, it is read again; open opens what the
// reader needs. The reader has a goroutine of its own, because nobody knows how long it takes.
func (s *spaces) ask(id spaceID, now, age time.Duration, open func() reader) kill.Whose {
	at := s.known[id]
	if at == nil {
		s.makeRoom(id.owner)
		at = &space{at: -spaceFor}
		s.known[id] = at
	}
	if at.answer != nil {
		select {
		case r := <-at.answer:
			at.take(r, at.began)
		default:
			return at.unless(age)
		}
	}
	if now < at.at+age {
		return at.users
	}
	if until, ok := s.suspended[id.owner]; ok && now < until || s.readers.Load() >= maxReaders || s.occupies(id.owner) {
		return at.unless(age)
	}
	read := open()
	if read == nil {
		return at.unless(age)
	}
	answer, last := make(chan reading, 1), at.file
	at.answer, at.began = answer, now
	s.readers.Add(1)
	go func() {
		defer s.readers.Add(-1)
		answer <- read(last)
	}()
	if now >= s.hasty && !s.hurried {
		s.await(at, id.owner, now)
	}
	if at.answer != nil {
		return at.unless(age)
	}
	return at.users
}

// occupies reports whether a reader is still busy with a database of a user, who gets no other one then:
// his file system may let it wait for good. Root owns most containers.
func (s *spaces) occupies(owner uint32) bool {
	if owner == 0 {
		return false
	}
	for id, at := range s.known {
		if id.owner == owner && at.busy() {
			return true
		}
	}
	return false
}

// busy reports whether a reader has not answered yet.
func (at *space) busy() bool { return at.answer != nil && len(at.answer) == 0 }

// unless returns whose users there were before, unless that is asked for as of now.
func (at *space) unless(age time.Duration) kill.Whose {
	if age == 0 {
		return kill.WhoseUnknown
	}
	return at.users
}

// await waits a moment for a reading.
func (s *spaces) await(at *space, owner uint32, now time.Duration) {
	timer := time.NewTimer(readerPatience)
	defer timer.Stop()
	select {
	case r := <-at.answer:
		at.take(r, now)
	case <-timer.C:
		s.hasty = now + hastyFor
		if owner == 0 {
			return // root owns most containers, and needs no tricks
		}
		if len(s.suspended) >= maxSuspended {
			clear(s.suspended)
		}
		s.suspended[owner] = now + suspension
	}
}

// take adopts a reading. If the file is the same as before, the names are, too.
func (at *space) take(r reading, now time.Duration) {
	if r.names == nil && r.users == kill.WhoseOther && r.file != (version{}) && r.file == at.file {
		r.names = at.names
	}
	at.users, at.file, at.names, at.at, at.answer = r.users, r.file, r.names, now, nil
}

// makeRoom forgets a space of the user who has the most, which costs nobody else anything.
func (s *spaces) makeRoom(owner uint32) {
	if len(s.known) < maxSpaces {
		return
	}
	counts := make(map[uint32]int)
	most := owner
	for id := range s.known {
		counts[id.owner]++
		if counts[id.owner] > counts[most] {
			most = id.owner
		}
	}
	for id, at := range s.known {
		if id.owner == most && !at.busy() {
			delete(s.known, id)
			return
		}
	}
}

// parseOwnUsers returns the first users of a passwd(5) file that its owner may have filled with
// anything. A line that is cut counts for nothing.
func parseOwnUsers(data []byte) map[uint32]string {
	names := make(map[uint32]string)
	for line := range bytes.Lines(data) {
		if !bytes.HasSuffix(line, []byte{'\n'}) && len(data) >= maxSpaceFile {
			break
		}
		if id, name, ok := parsePasswdLine(string(line)); ok && len(name) <= maxUserName &&
			!strings.ContainsFunc(name, unicode.IsControl) {
			if _, ok := names[id]; !ok {
				names[id] = name
			}
		}
		if len(names) == maxSpaceUsers {
			break
		}
	}
	return names
}
