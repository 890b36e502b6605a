// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"strings"
	"unicode"
)

// tokenForm is how the secrets of a service begin, and how long they are at least, without that. The
// beginning stays.
type tokenForm struct {
	prefix string
	least  int
}

// tokenForms are prefixes that services give their secrets so that these can be found.
var tokenForms = []tokenForm{
	{"AGE-SECRET-KEY-", 4},
	{"AIza", 20},
	{"AKIA", 12},
	{"ASIA", 12},
	{"ATATT3", 16},
	{"ATCTT3", 16},
	{"CFPAT-", 16},
	{"EAAC", 24},
	{"GR1348941", 8},
	{"NRAK-", 8},
	{"PMAK-", 8},
	{"SG.", 16},
	{"dckr_pat_", 4},
	{"dop_v1_", 4},
	{"dt0c01.", 8},
	{"dt0s01.", 8},
	{"dt0s16.", 8},
	{"eyJ", 12},
	{"figd_", 8},
	{"gho_", 4},
	{"ghp_", 4},
	{"ghr_", 4},
	{"ghs_", 4},
	{"ghu_", 4},
	{"github_pat_", 4},
	{"glcbt-", 4},
	{"gldt-", 4},
	{"glffct-", 4},
	{"glft-", 4},
	{"gloas-", 4},
	{"glpat-", 4},
	{"glptt-", 4},
	{"glrt-", 4},
	{"glsa_", 8},
	{"glsoat-", 4},
	{"hf_", 16},
	{"hvb.", 8},
	{"hvs.", 8},
	{"lin_api_", 4},
	{"npm_", 20},
	{"pypi-", 16},
	{"rk_live_", 4},
	{"rk_test_", 4},
	{"rubygems_", 16},
	{"sgp_", 16},
	{"shpat_", 4},
	{"shppa_", 4},
	{"shpss_", 4},
	{"sk-", 20},
	{"sk_live_", 4},
	{"sk_test_", 4},
	{"sntrys_", 8},
	{"sq0atp-", 8},
	{"sq0csp-", 8},
	{"tskey-", 8},
	{"whsec_", 4},
	{"xapp-", 4},
	{"xkeysib-", 16},
	{"xoxa-", 4},
	{"xoxb-", 4},
	{"xoxe-", 4},
	{"xoxo-", 4},
	{"xoxp-", 4},
	{"xoxr-", 4},
	{"xoxs-", 4},
	{"xsmtpsib-", 16},
	{"ya29.", 8},
}

// wordForm is a form whose prefix ordinary names have as well: gsk_tools. So what follows is looked at more closely.
type wordForm struct {
	tokenForm
	// part says which bytes the secret is made of. If there is none, ordinary names have no such prefix.
	part func(byte) bool
}

var wordForms = []wordForm{
	{tokenForm{"atlasv1.", 32}, idByte}, // behind the name of the token
	{tokenForm{"dapi", 32}, hexByte},
	{tokenForm{"dp.audit.", 32}, letterOrDigit},
	{tokenForm{"dp.ct.", 32}, letterOrDigit},
	{tokenForm{"dp.pt.", 32}, letterOrDigit},
	{tokenForm{"dp.sa.", 32}, letterOrDigit},
	{tokenForm{"dp.scim.", 32}, letterOrDigit},
	{tokenForm{"dp.st.", 32}, func(c byte) bool { return idByte(c) || c == '.' }}, // perhaps with the name of an environment in front
	{tokenForm{"glagent-", 32}, idByte},
	{tokenForm{"glimt-", 20}, letterOrDigit},
	{tokenForm{"gsk_", 32}, letterOrDigit},
	{tokenForm{"nvapi-", 48}, idByte},
	{tokenForm{"pplx-", 32}, letterOrDigit},
	{tokenForm{"pul-", 40}, hexByte},
	{tokenForm{"r8_", 32}, letterOrDigit},
	{tokenForm{"sbp_", 40}, hexByte},
	{tokenForm{"xai-", 48}, letterOrDigit},
}

func hexByte(c byte) bool { return hexDigit(c) >= 0 }

func idByte(c byte) bool { return letterOrDigit(c) || c == '_' || c == '-' }

func tokenByte(c byte) bool { return letterOrDigit(c) || strings.IndexByte("_-.+/=~", c) >= 0 }

// end returns where a secret may end that begins at an index, behind its prefix, and whether it is one. One that was cut off
// is shorter.
func (w wordForm) end(v string, start int) (end int, ok bool) {
	if w.part == nil {
		end = skip(v, start, tokenByte)
		return end, end-start >= w.least || end == len(v) && end-start >= 4 && len(w.prefix) > 3
	}
	end = skip(v, start, w.part)
	return end, end-start >= w.least || end == len(v) && random(v[start:end])
}

// random reports whether a text looks like no words that somebody wrote.
func random(v string) bool {
	return len(v) >= 8 && strings.ContainsAny(v, "0123456789") && strings.ContainsFunc(v, unicode.IsLetter)
}

// tokens hides secrets that have a form of their own.
func (f *finder) tokens(t text) {
	v := t.value
	for i := 0; i < len(v); i++ {
		if v[i] == ':' {
			if end, ok := botToken(v, i); ok {
				f.hide(t, i+1, end)
				i = end - 1
			}
			continue
		}
		if i > 0 && letterOrDigit(v[i-1]) || tokenStarts[v[i]] == nil {
			continue
		}
		if strings.HasPrefix(v[i:], "-----BEGIN ") {
			i = f.armored(t, i)
			continue
		}
		for _, form := range tokenStarts[v[i]] {
			if !strings.HasPrefix(v[i:], form.prefix) {
				continue
			}
			start := i + len(form.prefix)
			if end, ok := form.end(v, start); ok {
				f.hide(t, start, end)
				i = end - 1
				break
			}
		}
	}
}

// botToken returns where the token of a Telegram bot ends, whose colon is at an index, and whether it is one: a number, a
// colon, and 35 characters, of which the first two are mostly AA.
func botToken(v string, colon int) (end int, ok bool) {
	digits := colon
	for digits > 0 && '0' <= v[digits-1] && v[digits-1] <= '9' && colon-digits < 6 {
		digits--
	}
	if colon-digits < 6 {
		return colon, false
	}
	end = skip(v, colon+1, idByte)
	secret := v[colon+1 : end]
	return end, len(secret) == 35 && random(secret) || end == len(v) && strings.HasPrefix(secret, "AA") && len(secret) >= 8
}

// armored hides a private key that is written out, from its first line to its last, and returns
// where it ends.
func (f *finder) armored(t text, start int) int {
	v := t.value
	line := v[start:min(start+64, len(v))]
	if !strings.Contains(line, "PRIVATE") && strings.Contains(line[len("-----BEGIN "):], "-----") {
		return start + len("-----BEGIN ") // a certificate
	}
	from := start + len("-----BEGIN ")
	end := len(v)
	if length := strings.Index(v[from:], "-----END "); length >= 0 {
		end = from + length
	}
	f.hide(t, from, end)
	return end
}

// tokenStarts are the forms by the byte that they begin with.
var tokenStarts = func() (starts [256][]wordForm) {
	starts['-'] = []wordForm{} // of a private key
	for _, form := range allForms() {
		starts[form.prefix[0]] = append(starts[form.prefix[0]], form)
	}
	return starts
}()

func allForms() []wordForm {
	all := wordForms[:len(wordForms):len(wordForms)]
	for _, form := range tokenForms {
		all = append(all, wordForm{tokenForm: form})
	}
	return all
}
