// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"slices"
	"strings"
)

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
			open--
			if open == 0 {
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
	// written is what the pipelines before it write. They may be parts of the same one: (echo a; echo b) | c.
	written []text
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
		output := written(stage)
		if fed {
			f.hideEach(output)
		}
		from := len(f.secrets)
		wants := f.command(stage, depth, asScript)
		if fed && i == 0 && (len(stage) == 0 || len(stage) == 1 && groupEnds[stage[0].value]) {
			f.hideEach(p.written)
			p.written = nil
		}
		fed = fed || readsPassword(stage) || slices.ContainsFunc(stage, appendsInput) && (wants || f.hidesAny(from, inserted(stage)))
		if i == 0 {
			p.written = append(p.written, output...)
		}
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
	stage := p.words[start:]
	reads := readsPassword(stage)
	if !reads && slices.ContainsFunc(stage, appendsInput) {
		var of finder // it is read as a command later
		reads = of.command(stage, deepest, asScript) || of.hidesAny(0, inserted(stage))
	}
	if reads {
		f.hideAll(input)
		return true
	}
	f.inspect(input, true)
	spoken(f, input)
	return false
}

// writers are programs that write their arguments.
var writers = set(`echo print printf yes`)

// groupEnds are words that end a group of commands.
var groupEnds = set("} done fi esac")

// written returns the words that a command writes.
func written(stage []text) []text {
	at := slices.IndexFunc(stage, func(w text) bool { return writers[baseName(w.value)] })
	if at < 0 {
		return nil
	}
	return stage[at+1:]
}

// placeholders returns what xargs and parallel put their input in place of: {}, and what options say.
func placeholders(stage []text) []string {
	all := []string{"{}"}
	for i, w := range stage {
		v := w.value
		if mark, ok := strings.CutPrefix(v, "--replace="); ok {
			all = append(all, mark)
		}
		if len(v) < 2 || v[0] != '-' || v[1] == '-' {
			continue
		}
		switch at := strings.IndexAny(v, "Ii"); {
		case at > 0 && at < len(v)-1: // -rI%
			all = append(all, v[at+1:])
		case at > 0 && v[at] == 'I' && i+1 < len(stage):
			all = append(all, stage[i+1].value)
		}
	}
	return slices.DeleteFunc(all[:min(len(all), 8)], func(mark string) bool { return mark == "" })
}

// inserted returns the places of a command that xargs and parallel put their input in.
func inserted(stage []text) (places []text) {
	for _, mark := range placeholders(stage) {
		for _, w := range stage {
			for at := 0; ; at += len(mark) {
				next := strings.Index(w.value[at:], mark)
				if next < 0 {
					break
				}
				at += next
				places = append(places, w.part(at, at+len(mark)))
			}
		}
	}
	return places
}

// hidesAny reports whether one of some words is in one of the latest secrets, from an index on.
func (f *finder) hidesAny(from int, words []text) bool {
	return slices.ContainsFunc(words, func(w text) bool {
		return slices.ContainsFunc(f.secrets[from:], func(s span) bool { return s.start <= w.place(0) && w.place(0) < s.end })
	})
}

// appendsInput reports whether a word names a program that runs another one with its input as arguments.
func appendsInput(w text) bool {
	name := baseName(w.value)
	return name == "xargs" || name == "parallel"
}

func (f *finder) hideEach(words []text) {
	for _, w := range words {
		f.hideAll(w)
	}
}

// passwordReaders are programs that read passwords from their input.
var passwordReaders = set(`ansible-vault argon2 chpasswd chpass clevis cryptsetup expect gpg gpg2 grub-mkpasswd-pbkdf2 htpasswd kinit kpasswd
	kubeseal ldappasswd mkpasswd mysql_config_editor newusers openssl passwd pdbedit psql saslpasswd2 secret-tool slappasswd smbpasswd
	ssh-add su systemd-creds vncpasswd wpa_passphrase`)

// secretReaders are programs that do so if these words follow, in this order but perhaps with others between;
// =- stands for the end of one.
var secretReaders = map[string][]string{
	"bao":      {"kv put", "kv patch", "write =-"},
	"bw":       {"unlock"},
	"caddy":    {"hash-password"},
	"cargo":    {"login"},
	"doppler":  {"secrets set"},
	"firebase": {"functions:secrets:set"},
	"fly":      {"secrets import"},
	"flyctl":   {"secrets import"},
	"gh":       {"secret set"},
	"git":      {"credential approve", "credential reject"},
	"glab":     {"variable set"},
	"gopass":   {"insert"},
	"keyctl":   {"padd", "pupdate"},
	"pass":     {"insert"},
	"pulumi":   {"config set --secret", "config --secret set"},
	"rclone":   {"obscure"},
	"realm":    {"join"},
	"vault":    {"kv put", "kv patch", "write =-"},
	"vercel":   {"env add"},
	"wg":       {"pubkey"},
	"wrangler": {"secret put"},
	"zfs":      {"load-key"},
}

// readsPassword reports whether a command reads a password from its input.
func readsPassword(stage []text) bool {
	reads, sudo := false, false
	for i, w := range stage {
		v := w.value
		reads = reads || v == "-" || strings.HasSuffix(v, "/dev/stdin") || strings.HasSuffix(v, "=-")
		name := baseName(v)
		sudo = sudo || name == "sudo"
		if passwordReaders[name] && (i == 0 || v[0] != '-') {
			return true
		}
		for _, verbs := range secretReaders[name] {
			if inOrder(stage[i+1:min(len(stage), i+16)], verbs) {
				return true
			}
		}
		if len(v) < 2 || v[0] != '-' {
			continue
		}
		if v[1] != '-' && strings.IndexByte(v, 'S') > 0 && sudo ||
			strings.HasSuffix(v, "stdin") || v == "--with-token" || strings.HasPrefix(v, "--passphrase-fd") ||
			strings.HasPrefix(v, "--stdin-") && soundOf(v) != harmless {
			return true
		}
	}
	return reads && aboutSecret(stage)
}

// aboutSecret reports whether a word of a command says that what it reads is a secret.
func aboutSecret(stage []text) bool {
	return slices.ContainsFunc(stage, func(w text) bool {
		v := w.value
		return v == "login" || soundOf(strings.TrimSuffix(v, "=-")) != harmless
	})
}

// inOrder reports whether all verbs are among some words, in their order.
func inOrder(words []text, verbs string) bool {
	for verb := range strings.FieldsSeq(verbs) {
		at := slices.IndexFunc(words, func(w text) bool {
			return w.value == verb || verb == "=-" && strings.HasSuffix(w.value, verb)
		})
		if at < 0 {
			return false
		}
		words = words[at+1:]
	}
	return true
}
