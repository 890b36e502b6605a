// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package telemetry

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ title, want string }{
		"nothing to hide":        {"kill|-9|3936", "kill|-9|3936"},
		"option and value":       {"mysql|--password|hunter2|-u|root", "mysql|--password|***|-u|root"},
		"option with value":      {"mysql|--password=hunter2", "mysql|--password=***"},
		"one dash":               {"app|-token|abc", "app|-token|***"},
		"short option":           {"mysql|-phunter2|db", "mysql|-p***|db"},
		"short option alone":     {"ssh|-p|22", "ssh|-p|22"},
		"any case":               {"app|--API-Key|abc|DB_PASSWORD=x", "app|--API-Key|***|DB_PASSWORD=***"},
		"secret":                 {"app|--client-secret=abc", "app|--client-secret=***"},
		"key":                    {"curl|--key|abc", "curl|--key|***"},
		"passphrase":             {"gpg|--passphrase|abc", "gpg|--passphrase|***"},
		"credential":             {"app|--credentials=abc", "app|--credentials=***"},
		"option follows":         {"mysql|--password|--verbose", "mysql|--password|--verbose"},
		"value with spaces":      {"app|--password|a b c|x", "app|--password|***|x"},
		"value with equals sign": {"app|--token=a=b==", "app|--token=***"},
		"whole command":          {"sh|-c|mysql --password hunter2 -phunter3 db", "sh|-c|mysql --password *** -p*** db"},
		"one string":             {"mysql --password hunter2", "mysql --password ***"},
		"header":                 {"curl|-H|Authorization: Bearer abc", "curl|-H|Authorization: Bearer ***"},
		"header of its own":      {"curl|-H|X-Api-Key: abc", "curl|-H|X-Api-Key: ***"},
		"header, no space":       {"curl|-H|X-Api-Key:abc", "curl|-H|X-Api-Key:***"},
		"URL":                    {"psql|postgres://ann:hunter2@db/x", "psql|postgres://ann:***@db/x"},
		"URL without password":   {"curl|https://ann@db/x", "curl|https://ann@db/x"},
		"URL with a port":        {"curl|https://db:8080/x", "curl|https://db:8080/x"},
		"empty arguments":        {"app||--token||abc", "app||--token||***"},
		"value missing":          {"app|--token", "app|--token"},
		"empty":                  {"", ""},
		"a word in a path":       {"/usr/bin/keyring|start", "/usr/bin/keyring|start"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nul := func(s string) string { return strings.ReplaceAll(s, "|", "\x00") }
			assert.Equal(t, nul(tt.want), redact(nul(tt.title)))
		})
	}
}

func TestRedactOriginal(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "type=SYSCALL msg=x: a0=1\ntype=PROCTITLE msg=x: proctitle=***\ntype=OBJ_PID msg=x: opid=1",
		redactOriginal("type=SYSCALL msg=x: a0=1\ntype=PROCTITLE msg=x: proctitle=4142\ntype=OBJ_PID msg=x: opid=1"))
	assert.Equal(t, "type=PROCTITLE msg=x: proctitle=***", redactOriginal(`type=PROCTITLE msg=x: proctitle="a b"`))
	assert.Equal(t, "none", redactOriginal("none"))
}

func FuzzRedact(f *testing.F) {
	for _, title := range []string{"", "mysql\x00--password\x00x", "a -pb", "x://y:z@w", "--key=", "bearer", "a: b"} {
		f.Add(title)
	}
	f.Fuzz(func(t *testing.T, title string) {
		once := redact(title)
		if once != redact(once) {
			t.Errorf("%q: %q is redacted again to %q", title, once, redact(once))
		}
	})
}
