// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// sound says what a name sounds like.
type sound int

const (
	// harmless is a name that does not sound like a secret.
	harmless sound = iota
	// weak is a name such as key: its value may also be a path, a number or a choice.
	weak
	// strong is a name such as password.
	strong
)

// strongWords are secrets wherever they stand in a name, whatever separates their parts.
var strongWords = []string{
	"password", "passwd", "passphrase", "passcode", "passwort", "kennwort", "motdepasse", "contrasena", "contraseña", "пароль",
	"secret", "token", "apikey", "accesskey", "authkey", "authorization", "bearer", "mnemonic", "securestring",
	"phpsessid", "jsessionid", "pwd",
}

// weakWords are like strongWords, but only perhaps.
var weakWords = []string{"credential", "privatekey"}

// strongEnds are secrets if they are the last part of a name.
var strongEnds = []string{
	"pass", "pin", "pw", "psk", "sig", "signature", "sas", "otp", "totp", "mfa", "jwt", "hmac", "cred", "creds", "pat", "upw", "opw",
	"masterauth", "primaryauth",
}

// weakEnds are like strongEnds, but only perhaps.
var weakEnds = []string{"key", "auth", "basicauth", "httpauth", "proxyauth", "cookie", "private"}

// harmlessEnds are last parts of names that tell about a secret, and not the secret.
var harmlessEnds = set(`agent algorithm authentication class command controller count dir directory endpoint
	env eval expiry fd field file format from helper host id jar length manager max method
	min mode mount name names operator path plugin policy port prompt provider proxy ref
	required server service size sock stdin store timeout ttl type uri url user username version`)

// harmlessWords are names that merely look like those of secrets.
var harmlessWords = set(`askpass askbecomepass askpassword bypass compass donkey encompass hockey hostkey hotkey jockey
	monkey overpass publickey pubkey recvkeys defaultkey sortkey primarykey partitionkey
	foreignkey routingkey cachekey groupkey surpass trespass turkey underpass whiskey withtoken
	assecurestring passwordstdin passwdonstdin twopass singlepass onepass multipass firstpass secondpass`)

// soundOf judges the name of an option, a variable, a field or a header.
func soundOf(name string) sound {
	s := soundOfWhole(name)
	if s == harmless && len(name) > 2 && name[0] == '-' && name[1] != '-' { // -Dpin=1234
		s = soundOfWhole(name[2:])
	}
	return s
}

func soundOfWhole(name string) sound {
	if !nameClues.in(name) {
		return harmless
	}
	var room [128]byte
	parts := appendParts(room[:0], name)
	parts = bytes.Trim(parts, "-0123456789")
	if len(parts) == 0 || bytes.HasPrefix(parts, []byte("no-")) {
		return harmless
	}
	last := bytes.TrimRight(parts[bytes.LastIndexByte(parts, '-')+1:], "0123456789")
	var room2 [128]byte
	joined := appendJoined(room2[:0], parts)
	if isHarmless(parts, last, joined) {
		return harmless
	}
	if string(joined) == "pwd" || string(joined) == "oldpwd" { // the working directory, as often as not
		return weak
	}
	if contains(joined, strongWords) {
		return strong
	}
	if ends(last, strongEnds) || bytes.HasSuffix(last, []byte("pass")) || bytes.HasSuffix(last, []byte("psk")) {
		return strong
	}
	if contains(joined, weakWords) || ends(last, weakEnds) || bytes.HasSuffix(last, []byte("key")) {
		return weak
	}
	return harmless
}

func isHarmless(parts, last, joined []byte) bool {
	if harmlessWords[string(joined)] || bytes.Contains(joined, []byte("tokeniz")) ||
		bytes.Contains(joined, []byte("passwordless")) || string(joined) == "authuserpass" {
		return true
	}
	switch string(last) {
	case "tokens":
		return bytes.Contains(joined, []byte("max")) || bytes.Contains(joined, []byte("num"))
	case "id":
		return !bytes.Contains(joined, []byte("secret")) && !bytes.Contains(joined, []byte("sess"))
	case "keyfile", "keypath", "keystore", "tokenfile", "passfile", "passwordfile", "passwdfile", "pwfile", "pwdfile", "secretfile",
		"tokenpath", "secretpath", "secretname", "authfile":
		return true
	}
	return bytes.IndexByte(parts, '-') >= 0 && harmlessEnds[string(last)]
}

func contains(name []byte, words []string) bool {
	return slices.ContainsFunc(words, func(word string) bool { return bytes.Contains(name, []byte(word)) })
}

// ends reports whether the last part of a name is one of these words, or its plural.
func ends(last []byte, words []string) bool {
	return slices.Contains(words, string(last)) || len(last) > 3 && slices.Contains(words, string(bytes.TrimSuffix(last, []byte("s"))))
}

// appendParts appends a name in lower case, with a dash between its parts: api-key for API_Key and
// apiKey.
func appendParts(to []byte, name string) []byte {
	previous := '-'
	for i, r := range name {
		folded := fold(r)
		switch {
		case r < utf8.RuneSelf && !letterOrDigit(byte(r)):
			folded = '-'
		case unicode.IsUpper(r) && (unicode.IsLower(previous) || unicode.IsUpper(previous) && beginsWord(name[i:])):
			to = append(to, '-')
		}
		if folded != '-' || len(to) > 0 && to[len(to)-1] != '-' {
			to = utf8.AppendRune(to, folded)
		}
		previous = r
	}
	return to
}

// beginsWord reports whether a capital letter is the first of a word: the K of APIKey.
func beginsWord(s string) bool {
	return len(s) > 2 && 'A' <= s[0] && s[0] <= 'Z' && 'a' <= s[1] && s[1] <= 'z' && 'a' <= s[2] && s[2] <= 'z'
}

func appendJoined(to, parts []byte) []byte {
	for _, c := range parts {
		if c != '-' {
			to = append(to, c)
		}
	}
	return to
}

// fold returns a letter in lower case, and as the ASCII letter that it can be read as.
func fold(r rune) rune {
	switch {
	case r < utf8.RuneSelf:
		if 'A' <= r && r <= 'Z' {
			return r | 0x20
		}
		return r
	case r == 'ſ':
		return 's'
	case r == '\u212a': // the sign for kelvin
		return 'k'
	case r == 'ı':
		return 'i'
	case 0xff01 <= r && r <= 0xff5e: // full width
		return fold(r - 0xfee0)
	}
	return unicode.ToLower(r)
}

func letterOrDigit(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9'
}

// shown reports whether the value of a name is no secret though the name sounds like one.
func (s sound) shown(value string) bool {
	if s == strong {
		return len(value) == 1 && '0' <= value[0] && value[0] <= '9' // -pass 2
	}
	switch strings.ToLower(value) {
	case "true", "false", "yes", "no", "on", "off", "none", "null", "auto", "default", "any", "required", "optional":
		return true
	}
	return len(value) <= 2 && strings.Trim(value, "0123456789") == "" || path(value)
}

// path reports whether a text looks like the path of a file.
func path(value string) bool {
	for i := range len(value) {
		if c := value[i]; !letterOrDigit(c) && strings.IndexByte("/._-~@:", c) < 0 {
			return false
		}
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(value, "/"), "/")
	if strings.HasPrefix(value, "/") && slices.Contains(roots, first) || strings.HasPrefix(value, "~/") || strings.HasPrefix(value, "./") {
		return true
	}
	dot := strings.LastIndexByte(value, '.')
	return dot > 0 && slices.Contains(extensions, value[dot+1:])
}

var (
	roots      = []string{"dev", "etc", "home", "media", "mnt", "opt", "proc", "root", "run", "srv", "sys", "tmp", "usr", "var"}
	extensions = []string{
		"asc", "cert", "cfg", "conf", "crt", "der", "gpg", "ini", "jks", "json", "key", "keytab", "p12", "pem", "pfx", "pub", "txt", "yaml", "yml",
	}
)
