// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestConceal(t *testing.T) {
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
		"value like an option":   {"mysql|--password|-X|--verbose", "mysql|--password|***|--verbose"},
		"value behind a dash":    {"app|--key|--|X", "app|--key|--|***"},
		"value of many words":    {"app|--password=correct horse battery|x", "app|--password=***|x"},
		"within an option":       {"app|--set=db.password=X", "app|--set=db.password=***"},
		"within a list":          {"app|-o|a=1,password=X", "app|-o|a=1,password=***"},
		"within a URL":           {"java|-Durl=jdbc:x?user=a&password=X", "java|-Durl=jdbc:x?user=a&password=***"},
		"URL and parameter":      {"curl|https://ann:X@db/?token=Y", "curl|https://ann:***@db/?token=***"},
		"JSON":                   {`app|{"user":"b","password":"X"}`, `app|{"user":"b","password":"***"}`},
		"quoted in a command":    {"sh|-c|mysql '-pX' db", "sh|-c|mysql '-p***' db"},
		"quoted value":           {"sh|-c|env TOKEN='a b' run", "sh|-c|env TOKEN='***' run"},
		"quoted next value":      {`sh|-c|app --token "a b" run`, `sh|-c|app --token "***" run`},
		"tab in a command":       {"sh|-c|mysql\t-pX", "sh|-c|mysql\t-p***"},
		"assignment in front":    {"sh|-c|PGPASSWORD=x psql", "sh|-c|PGPASSWORD=*** psql"},
		"secret, then an option": {"sh|-c|mysql --password x --host=db:1", "sh|-c|mysql --password *** --host=db:1"},
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
		"URL with a port alone":  {"redis-cli|redis://db:6379", "redis-cli|redis://db:6379"},
		"URL that was cut":       {"psql|postgres://ann:hunter2hun", "psql|postgres://ann:***"},
		"empty arguments":        {"app||--token||abc", "app||--token||***"},
		"dash as a value":        {"xh|Pass=|-", "xh|Pass=|***"},
		"value missing":          {"app|--token", "app|--token"},
		"empty":                  {"", ""},
		"a word in a path":       {"/usr/bin/keyring|start", "/usr/bin/keyring|start"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nul := func(s string) string { return strings.ReplaceAll(s, "|", "\x00") }
			assert.Equal(t, nul(tt.want), conceal(nul(tt.title)))
		})
	}
}

// A secret is hidden, whatever is around it.
func FuzzConceal(f *testing.F) {
	const secret = "hunter2"
	forms := []string{
		"--password\x00" + secret, "--password=" + secret, "--password=a b " + secret, "mysql\x00-p" + secret, "DB_TOKEN=" + secret,
		"x://user:" + secret + "@host", "X-Api-Key: " + secret, "a=1,secret=" + secret, "sh\x00-c\x00x --token " + secret + " y",
	}
	for form := range forms {
		f.Add("", "", byte(form))
		f.Add("mysql\x00--key", "x\x00-u\x00root", byte(form))
		f.Add("sh\x00-c\x00a 'b", `"c d: e=f`, byte(form))
	}
	f.Fuzz(func(t *testing.T, before, after string, form byte) {
		if strings.Contains(before+after, secret) {
			t.Skip("the secret stands elsewhere")
		}
		title := before + "\x00" + forms[int(form)%len(forms)] + "\x00" + after
		if got := conceal(title); strings.Contains(got, secret) {
			t.Errorf("%q became %q", title, got)
		}
	})
}
