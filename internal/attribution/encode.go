// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package attribution

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

const (
	// memoryVersion is the version of the encoding below.
	memoryVersion = 1
	// MaxEncoded is how long encoded facts are at most.
	MaxEncoded = 64 << 10
	// maxFact is how long each of them may be: a command line, or a few names.
	maxFact = 8 << 10
	// longestName bounds the names in a fact that is decoded.
	longestName = 256
)

// encoded is how facts are stored.
type encoded struct {
	Version int               `json:"version"`
	Facts   []json.RawMessage `json:"facts"`
}

// encodedFact is how one of them is stored.
type encodedFact struct {
	Node    string   `json:"node,omitempty"`
	Login   *Login   `json:"login,omitempty"`
	Command *Command `json:"command,omitempty"`
}

// Encode returns facts in a form that Decode understands, at most MaxEncoded bytes. If there are too many, it
// leaves out the first ones. Only logins and commands are worth to be stored.
func Encode(facts []*Fact) []byte {
	stored, length := encoded{Version: memoryVersion}, len(`{"version":1,"facts":[]}`)
	for _, f := range slices.Backward(facts) {
		if !f.storable() {
			continue
		}
		text, err := json.Marshal(encodedFact{f.Node, f.Login, f.Command})
		if err != nil || len(text) > maxFact {
			continue // a time beyond the year 9999, or a long command line
		}
		if length += len(text) + len(","); length > MaxEncoded {
			break
		}
		stored.Facts = append(stored.Facts, text)
	}
	slices.Reverse(stored.Facts)
	data, err := json.Marshal(stored)
	if err != nil {
		return nil // it cannot happen: the parts are JSON already
	}
	return data
}

// errForeign is returned for what Encode did not write.
var errForeign = errors.New("not what this program stores of logins and commands")

// Decode returns the facts that Encode was given. Anything may have happened to data meanwhile: what it returns
// is as sound as if a record said it, and not more than Encode would write.
func Decode(data []byte) ([]*Fact, error) {
	var stored encoded
	if len(data) > MaxEncoded {
		return nil, fmt.Errorf("%w: %d bytes", errForeign, len(data))
	}
	if err := json.Unmarshal(data, &stored); err != nil {
		return nil, fmt.Errorf("%w: %w", errForeign, err)
	}
	if stored.Version != memoryVersion {
		return nil, fmt.Errorf("%w: version %d, not %d", errForeign, stored.Version, memoryVersion)
	}
	var facts []*Fact
	for _, text := range stored.Facts {
		var one encodedFact
		if json.Unmarshal(text, &one) != nil {
			continue // the others may be sound
		}
		if f := (&Fact{Node: one.Node, Login: one.Login, Command: one.Command}); f.storable() {
			facts = append(facts, f)
		}
	}
	return facts, nil
}

// storable reports whether a fact is a login or a command, such as an audit record may tell.
func (f *Fact) storable() bool {
	switch l, c := f.Login, f.Command; {
	case len(f.Node) > longestName:
	case l != nil && c == nil:
		if l.Claimed {
			return l.Audit.Known && *l == (Login{Time: l.Time, Audit: l.Audit, Claimed: true})
		}
		s := &l.Session
		return l.Audit.Known && s.ID == strconv.FormatUint(uint64(l.Audit.Value), 10) && s.Service != "" && s.Port == 0 &&
			l.Manager == 0 && sane(l.Leader) && soundUser(&l.User) && short(s.Service, s.TTY, s.UserName, s.Address)
	case c != nil && l == nil:
		return c.Title != "" && sane(c.PID) && soundUser(&c.User) && soundUser(&c.Login) && short(c.Command)
	}
	return false
}

// sane reports whether a number may be a pid.
func sane(pid int) bool { return pid >= 0 && pid < 1<<31 }

func soundUser(u *kill.User) bool { return short(u.Name) && (u.ID.Known || u.ID.Value == 0) }

func short(texts ...string) bool {
	return !slices.ContainsFunc(texts, func(text string) bool { return len(text) > longestName })
}
