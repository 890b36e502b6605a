// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"regexp"
	"strings"
)

// redacted stands in for a value that nobody should see.
const redacted = "***"

// secretWords name options whose value is a secret. An option that merely
// sounds like one loses its value as well: better so than the other way round.
var secretWords = []string{
	"password", "passwd", "passphrase", "pwd", "token", "secret", "key", "credential",
}

// urlPassword matches the password of scheme://user:password@host.
var urlPassword = regexp.MustCompile(`(://[^/\s:@]*:)[^/\s@]+@`)

// redact hides the values of options whose name says password, token, secret or
// key, -pSECRET as mysql has it, "Bearer" tokens, and passwords in URLs.
func redact(title string) string {
	if !suspicious(title) {
		return title
	}
	separator := "\x00"
	if !strings.Contains(title, separator) {
		separator = " "
	}
	return strings.Join(redactArguments(strings.Split(title, separator)), separator)
}

// suspicious tells quickly whether there can be anything to hide.
func suspicious(title string) bool {
	if strings.Contains(title, "-p") || strings.Contains(title, "://") {
		return true
	}
	return namesSecret(title) || containsFold(title, "bearer")
}

func redactArguments(arguments []string) []string {
	valueComes := false
	for i, argument := range arguments {
		switch {
		case argument == "":
		case valueComes && !strings.HasPrefix(argument, "-"):
			arguments[i] = redacted
			valueComes = false
		default:
			arguments[i], valueComes = redactArgument(argument)
		}
	}
	return arguments
}

// redactArgument returns an argument without its secret, and whether the next
// one is a secret.
func redactArgument(argument string) (string, bool) {
	// A whole command in one argument: sh -c "mysql -pSECRET".
	if strings.Contains(argument, " ") {
		words := strings.Split(argument, " ")
		return strings.Join(redactArguments(words), " "), false
	}
	if name, _, ok := strings.Cut(argument, "="); ok && namesSecret(name) {
		return name + "=" + redacted, false
	}
	if name, value, ok := strings.Cut(argument, ":"); ok && namesSecret(name) && !strings.HasPrefix(value, "//") {
		if value == "" {
			return argument, true
		}
		return name + ":" + redacted, false
	}
	switch {
	case strings.HasPrefix(argument, "-") && namesSecret(argument), strings.EqualFold(argument, "bearer"):
		return argument, true
	case len(argument) > 2 && strings.HasPrefix(argument, "-p"):
		return "-p" + redacted, false
	}
	return urlPassword.ReplaceAllString(argument, "${1}"+redacted+"@"), false
}

func namesSecret(text string) bool {
	for _, word := range secretWords {
		if containsFold(text, word) {
			return true
		}
	}
	return false
}

// containsFold is strings.Contains for a lower-case ASCII word in any case.
func containsFold(text, word string) bool {
	for i := 0; i+len(word) <= len(text); i++ {
		if text[i]|0x20 == word[0] && strings.EqualFold(text[i:i+len(word)], word) {
			return true
		}
	}
	return false
}

// redactOriginal hides the command line in the records themselves.
func redactOriginal(records string) string {
	const field = " proctitle="
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
