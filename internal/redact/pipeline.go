// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import "strings"

// script looks for secrets in what a shell runs.
func (f *finder) script(t text, depth int) {
	s := splitter{source: t, operators: true}
	var p pipeline
	skip, body := false, false
	for {
		next, ok := s.next()
		if !ok {
			break
		}
		switch next.kind {
		case word:
			if !skip {
				p.words = append(p.words, next.text)
			} else {
				f.inspect(next.text, true)
			}
			skip = false
		case pipe:
			p.ends = append(p.ends, len(p.words))
		case ending:
			from := len(f.secrets)
			reads := p.read(f, depth)
			if body && reads && t.value[s.at-1] == '\n' || f.goesOn(from, t, s.at) {
				end := bodyEnd(t.value, s.at)
				f.hide(t, s.at, end)
				s.at = end
			}
			skip, body = false, false
		case redirect:
			skip = true
		case hereString:
			if input, more := s.next(); more {
				p.fed(f, input.text)
			}
		case hereText:
			if p.fed(f, t.part(s.at, len(t.value))) {
				s.at = len(t.value)
			}
			body = true
		}
	}
	p.read(f, depth)
}

// goesOn reports whether one of the latest secrets, from an index on, goes on with what another
// command writes: -p$(echo SECRET).
func (f *finder) goesOn(from int, t text, at int) bool {
	if at < 2 || t.value[at-1] != '(' || t.value[at-2] != '$' {
		return false
	}
	for _, secret := range f.secrets[from:] {
		if secret.end == t.place(at-1) {
			return true
		}
	}
	return false
}

// bodyEnd returns where what $( begins ends, or the lines behind <<EOF: at the end of the text.
func bodyEnd(v string, at int) int {
	if v[at-1] != '(' {
		return len(v)
	}
	open := 1
	for ; at < len(v); at++ {
		switch v[at] {
		case '(':
			open++
		case ')':
			if open--; open == 0 {
				return at
			}
		}
	}
	return len(v)
}

// pipeline is the words of commands with | between them.
type pipeline struct {
	words []text
	// ends are where the commands end, but for the last.
	ends []int
}

// read looks for secrets in the commands of a pipeline, and starts a new one. It reports whether one
// of the commands reads a password.
func (p *pipeline) read(f *finder, depth int) bool {
	end, fed := len(p.words), false
	for i := len(p.ends); i >= 0; i-- {
		start := 0
		if i > 0 {
			start = p.ends[i-1]
		}
		stage := p.words[start:end]
		if fed {
			f.hideWritten(stage)
		}
		f.command(stage, depth, asScript)
		fed = fed || readsPassword(stage)
		end = start
	}
	p.words, p.ends = p.words[:0], p.ends[:0]
	return fed
}

// fed hides the input of the last command if that reads a password, and reports whether it does.
func (p *pipeline) fed(f *finder, input text) bool {
	start := 0
	if len(p.ends) > 0 {
		start = p.ends[len(p.ends)-1]
	}
	if readsPassword(p.words[start:]) {
		f.hideAll(input)
		return true
	}
	f.inspect(input, true)
	spoken(f, input)
	return false
}

// writers are programs that write their arguments.
var writers = set(`echo print printf yes`)

// hideWritten hides what a command writes.
func (f *finder) hideWritten(stage []text) {
	writes := false
	for _, w := range stage {
		if writes {
			f.hideAll(w)
		}
		writes = writes || writers[baseName(w.value)]
	}
}

// passwordReaders are programs that read passwords from their input.
var passwordReaders = set(`chpasswd chpass cryptsetup expect gpg gpg2 htpasswd kinit kpasswd ldappasswd mysql_config_editor newusers
	openssl passwd pdbedit psql smbpasswd ssh-add su wpa_passphrase`)

// readsPassword reports whether a command reads a password from its input.
func readsPassword(stage []text) bool {
	for i, w := range stage {
		v := w.value
		if passwordReaders[baseName(v)] && (i == 0 || v[0] != '-') {
			return true
		}
		if len(v) < 2 || v[0] != '-' {
			continue
		}
		if v[1] != '-' && strings.IndexByte(v, 'S') > 0 && baseName(stage[0].value) == "sudo" ||
			strings.HasSuffix(v, "stdin") || v == "--with-token" || strings.HasPrefix(v, "--passphrase-fd") ||
			soundOf(v) != harmless && i+1 < len(stage) && (stage[i+1].value == "-" || stage[i+1].value == "/dev/stdin") {
			return true
		}
	}
	return false
}
