// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import "strings"

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
	{"EAAC", 24},
	{"NRAK-", 8},
	{"PMAK-", 8},
	{"SG.", 16},
	{"dckr_pat_", 4},
	{"dop_v1_", 4},
	{"eyJ", 12},
	{"figd_", 8},
	{"gho_", 4},
	{"ghp_", 4},
	{"ghr_", 4},
	{"ghs_", 4},
	{"ghu_", 4},
	{"github_pat_", 4},
	{"gldt-", 4},
	{"glft-", 4},
	{"glpat-", 4},
	{"glptt-", 4},
	{"glrt-", 4},
	{"glsa_", 8},
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
	{"xoxa-", 4},
	{"xoxb-", 4},
	{"xoxe-", 4},
	{"xoxo-", 4},
	{"xoxp-", 4},
	{"xoxr-", 4},
	{"xoxs-", 4},
	{"ya29.", 8},
}

// tokens hides secrets that have a form of their own.
func (f *finder) tokens(t text) {
	v := t.value
	for i := 0; i < len(v); i++ {
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
			end := start
			for end < len(v) && (letterOrDigit(v[end]) || strings.IndexByte("_-.+/=~", v[end]) >= 0) {
				end++
			}
			if end-start >= form.least || end == len(v) && end-start >= 4 && len(form.prefix) > 3 {
				f.hide(t, start, end)
				i = end - 1
				break
			}
		}
	}
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
var tokenStarts = func() (starts [256][]tokenForm) {
	starts['-'] = []tokenForm{} // of a private key
	for _, form := range tokenForms {
		starts[form.prefix[0]] = append(starts[form.prefix[0]], form)
	}
	return starts
}()
