// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"slices"
	"strings"
)

// links hides the passwords of links, of user:password@host without a scheme, and the secrets of
// some services that are a part of a link's path.
func (f *finder) links(t text) {
	v := t.value
	for at := 0; ; {
		length := strings.Index(v[at:], "://")
		if length < 0 {
			break
		}
		start := at + length + len("://")
		end := linkEnd(v, at+length, start)
		f.link(t.part(start, end))
		at = end
	}
	f.login(t)
	f.sources(t)
	f.codes(t)
}

// linkEnd returns where a link ends whose scheme ends before start-3: where a quote in front of it is
// closed, or at the next white space. A password may have quotes in it.
func linkEnd(v string, scheme, start int) int {
	for scheme > 0 && (letterOrDigit(v[scheme-1]) || strings.IndexByte("+.-:", v[scheme-1]) >= 0) {
		scheme--
	}
	if scheme > 0 {
		if quote := v[scheme-1]; quote == '"' || quote == '\'' || quote == '`' {
			return closing(v, start, string(quote))
		}
	}
	return until(v, start, " \t\r\n\v\f")
}

// link looks at a link without its scheme.
func (f *finder) link(t text) {
	v := t.value
	host := until(v, 0, "/?#")
	authority := v[:host]
	at := strings.LastIndexByte(v, '@')
	switch {
	case strings.IndexByte(authority, '@') >= 0: // all up to the last one, as passwords may have @ and / in them
		f.userInfo(t.part(0, at))
		if portless(v[at+1 : until(v, at+1, "/?#")]) { // user@domain:password, cut off
			f.userInfo(t.part(at+1, len(v)))
		}
	case portless(authority):
		if at < 0 {
			at = len(v) // it was cut off
		}
		f.userInfo(t.part(0, at))
	}
	for _, service := range []string{"hooks.slack.com/services/", "/api/webhooks/", "api.telegram.org/bot", "webhook.office.com/"} {
		if i := strings.Index(v, service); i >= 0 {
			f.hide(t, i+len(service), until(v, i+len(service), "?#"))
		}
	}
}

// portless reports whether what follows a colon in an authority cannot be a port, so that it is a
// password. Some drivers take a list of hosts.
func portless(authority string) bool {
	for host := range strings.SplitSeq(authority, ",") {
		if strings.HasPrefix(host, "[") {
			continue
		}
		if _, port, ok := strings.Cut(host, ":"); ok && strings.Trim(port, "0123456789") != "" && !variable(port) {
			return true
		}
	}
	return false
}

// variable reports whether a text is a variable of a shell: $DB_PORT.
func variable(s string) bool {
	return strings.HasPrefix(s, "$") && strings.Trim(s, "${}_ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

// userInfo hides the password of user:password, and a user that looks like a token.
func (f *finder) userInfo(t text) {
	user, rest, ok := strings.Cut(t.value, ":")
	if ok {
		f.hide(t, len(user)+1, len(t.value))
	}
	if len(user) >= 20 && strings.ContainsAny(user, "0123456789") || ok && (rest == "" || rest == "x-oauth-basic") {
		f.hide(t, 0, len(user))
	}
}

// login hides the password of user:password@host at the start of a text.
func (f *finder) login(t text) {
	v := t.value
	colon := strings.IndexByte(v, ':')
	if colon <= 0 || t.several() || colon+1 == len(v) || strings.HasPrefix(v[colon+1:], "/") {
		return
	}
	at := strings.LastIndexByte(v, '@')
	if at < colon+2 || at+1 == len(v) {
		return
	}
	for i := range colon {
		if !userByte(v[i]) {
			return
		}
	}
	if host := v[at+1:]; strings.HasPrefix(host, "sha256:") || strings.HasPrefix(host, "sha512:") || !letterOrDigit(host[0]) && host[0] != '[' && host[0] != '$' {
		return
	}
	f.hide(t, colon+1, at)
}

// sources hides the passwords of sources of data as Go's drivers write them: user:password@tcp(host:3306)/name,
// user:password@(host)/name, user:password@/name. What else may be around an @( in a shell has no such end.
func (f *finder) sources(t text) {
	v, floor := t.value, 0
	for at := -1; ; {
		next := strings.IndexByte(v[at+1:], '@')
		if next < 0 {
			return
		}
		at += 1 + next
		if !sourceAddress(v[at+1:]) {
			continue
		}
		start := at
		for start > floor && !blank(v[start-1]) && quoteAt(v[start-1:]) == 0 {
			start--
		}
		floor = at + 1
		user, _, ok := strings.Cut(v[start:at], ":")
		if from := start + len(user) + 1; ok && skip(user, 0, userByte) == len(user) && !strings.HasPrefix(v[from:], "//") {
			f.hide(t, from, at)
		}
	}
}

// userByte reports whether a byte may be part of a user in front of :password@host, or of a name in front of that: --dsn=user.
func userByte(c byte) bool { return nameByte(c) || strings.IndexByte("/\\@+=", c) >= 0 }

// sourceAddress reports whether a text begins like the address of a source of data: tcp(host:3306)/, or / and a name that is
// no path.
func sourceAddress(v string) bool {
	if v != "" && v[0] == '/' {
		end := skip(v, 1, idByte)
		return end == len(v) || v[end] == '?' || blank(v[end]) || quoteAt(v[end:]) > 0
	}
	open := skip(v, 0, letterOrDigit)
	if open == len(v) || v[open] != '(' {
		return false
	}
	end := skip(v, open+1, func(c byte) bool { return letterOrDigit(c) || strings.IndexByte("_-.:/[]@%${}", c) >= 0 })
	return strings.HasPrefix(v[end:], ")/")
}

// loginClues are in links that have to do with logging in.
var loginClues = []string{"/auth", "/cb", "/sso", "authoriz", "callback", "login", "oauth", "oidc", "redirect", "scope=", "state="}

// codes hides the code that a browser comes back with from a login: /callback?code=SECRET. Other codes are no secrets, but
// short: ?code=404.
func (f *finder) codes(t text) {
	v := t.value
	if !strings.Contains(v, codeParameter) {
		return
	}
	login := slices.ContainsFunc(loginClues, func(clue string) bool { return strings.Contains(v, clue) })
	for at := 0; ; {
		next := strings.Index(v[at:], codeParameter)
		if next < 0 {
			return
		}
		start := at + next + len(codeParameter)
		at = start
		if before := start - len(codeParameter); before == 0 || v[before-1] != '?' && v[before-1] != '&' {
			continue
		}
		at = parameterEnd(v, start)
		if code := v[start:at]; login && len(code) >= 6 || len(code) >= 20 && random(code) {
			f.hide(t, start, at)
		}
	}
}

const codeParameter = "code="
