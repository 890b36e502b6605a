// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package redact removes secrets from command lines.
package redact

import (
	"regexp"
	"strings"
)

// redacted stands in for a secret value.
const redacted = "***"

// Policy says how much of a command line is kept and reported.
type Policy string

const (
	// Redacted leaves out the values of options and the parts of URLs that look like secrets.
	Redacted Policy = "redacted"
	// Full leaves out nothing.
	Full Policy = "full"
	// Off leaves out the whole command line.
	Off Policy = "off"
)

// Apply returns what may be kept of a command line, a NUL after each argument.
func (p Policy) Apply(commandLine string) string {
	switch p {
	case Off:
		return ""
	case Redacted:
		return conceal(commandLine)
	}
	return commandLine
}

// secretWords are parts of names of options whose value is a secret. An option that merely
// sounds like one loses its value, too, which is better than a leak. Each word begins with one
// of the letters that secretIndex looks for.
var secretWords = []string{
	"password", "passwd", "passphrase", "pwd", "token", "secret", "key", "credential",
}

// urlPassword matches the password of scheme://user:password@host.
var urlPassword = regexp.MustCompile(`(://[^/\s:@]*:)[^/\s@]+@`)

// urlCut matches the end of a text that was cut off within such a password, but not a port.
var urlCut = regexp.MustCompile(`(://[^/\s:@\[]*:)[^/\s@]*[^/\s@\d][^/\s@]*$`)

// conceal hides the values of options that are named like a password, token, secret or key,
// mysql's -pSECRET, bearer tokens, and passwords in URLs. If it is not clear where a secret
// ends, it hides more rather than less.
func conceal(title string) string {
	if !suspicious(title) {
		return title
	}
	const separator = "\x00"
	arguments := strings.Split(title, separator)
	valueComes := false
	for i, argument := range arguments {
		switch {
		case argument == "":
		case valueComes:
			arguments[i], valueComes = redacted, anotherComes(argument)
		default:
			arguments[i], valueComes = redactArgument(argument)
		}
	}
	return strings.Join(arguments, separator)
}

// suspicious checks quickly whether there may be anything to hide.
func suspicious(title string) bool {
	return strings.Contains(title, "-p") || strings.Contains(title, "://") ||
		secretIndex(title) >= 0 || containsFold(title, "bearer")
}

// redactArgument returns an argument without its secret, and whether the next argument is a
// secret.
func redactArgument(argument string) (string, bool) {
	first, _, several := strings.Cut(argument, " ")
	if end := valueIndex(first); end >= 0 && (several || end < len(first)) {
		return hideURLPassword(argument[:end]) + redacted, false // --password=with spaces in it
	}
	if strings.ContainsAny(argument, " \t\n") {
		return redactCommand(argument)
	}
	return redactWord(argument)
}

// redactCommand redacts a whole command in one argument: sh -c "mysql -pSECRET".
func redactCommand(command string) (string, bool) {
	var kept []string
	valueComes, quote := false, ""
	for word := range strings.FieldsSeq(command) {
		switch {
		case quote != "": // still in a secret that began with a quote
			if strings.HasSuffix(word, quote) {
				quote = ""
			}
			continue
		case valueComes:
			quote, valueComes = openQuote(word), anotherComes(word)
			word = redacted
		default:
			whole := word
			if word, valueComes = redactWord(word); word != whole {
				quote = openQuote(whole[len(word)-len(redacted):])
			}
		}
		kept = append(kept, word)
	}
	return strings.Join(kept, " "), valueComes
}

// anotherComes reports whether the hidden word was not the value yet, so that the next word is:
// --token Bearer X, --key -- X, or an option without its value.
func anotherComes(hidden string) bool {
	_, another := redactWord(hidden)
	return another || hidden == "--"
}

// openQuote returns the quote that a text begins with but does not end with.
func openQuote(text string) string {
	for _, quote := range []string{"'", `"`} {
		if strings.HasPrefix(text, quote) && (len(text) == 1 || !strings.HasSuffix(text, quote)) {
			return quote
		}
	}
	return ""
}

// redactWord is redactArgument for a text without spaces.
func redactWord(word string) (string, bool) {
	if end := valueIndex(word); end >= 0 {
		kept := hideURLPassword(word[:end])
		if end == len(word) {
			return kept, true // "X-Api-Key:" and its value
		}
		return kept + redacted, false
	}
	bare := strings.TrimLeft(word, `'"`)
	switch {
	case strings.HasPrefix(bare, "-") && secretIndex(bare) >= 0, strings.EqualFold(bare, "bearer"):
		return word, true
	case len(bare) > len("-p") && strings.HasPrefix(bare, "-p"):
		return word[:len(word)-len(bare)] + "-p" + redacted, false
	}
	return hideURLPassword(word), false
}

func hideURLPassword(text string) string {
	return urlCut.ReplaceAllString(urlPassword.ReplaceAllString(text, "${1}"+redacted+"@"), "${1}"+redacted)
}

// valueIndex returns where the value of a secret begins in name=value or name:value, also
// within other text, or -1.
func valueIndex(text string) int {
	name := secretIndex(text)
	if name < 0 {
		return -1
	}
	separator := strings.IndexAny(text[name:], "=:")
	if separator < 0 {
		return -1
	}
	return name + separator + 1
}

// secretIndex returns the index of the first word that names a secret, or -1. It has to be
// fast: it runs on every command line.
func secretIndex(text string) int {
	for i := range len(text) {
		switch text[i] | 0x20 { // in lower case, if it is a letter
		case 'c', 'k', 'p', 's', 't':
			for _, word := range secretWords {
				if hasPrefixFold(text[i:], word) {
					return i
				}
			}
		}
	}
	return -1
}

// hasPrefixFold is strings.HasPrefix for an ASCII word in any case.
func hasPrefixFold(text, word string) bool {
	return len(text) >= len(word) && strings.EqualFold(text[:len(word)], word)
}

// containsFold is strings.Contains for a lower-case ASCII word in any case.
func containsFold(text, word string) bool {
	for i := range len(text) {
		if text[i]|0x20 == word[0] && hasPrefixFold(text[i:], word) {
			return true
		}
	}
	return false
}

// Records returns audit records without their command lines.
func Records(records string) string {
	const field = "proctitle="
	var out strings.Builder
	for {
		before, after, ok := strings.Cut(records, field)
		out.WriteString(before)
		if !ok {
			return out.String()
		}
		out.WriteString(field + redacted)
		if end := strings.IndexAny(after, "\n\x1d"); end >= 0 {
			records = after[end:]
		} else {
			records = ""
		}
	}
}
