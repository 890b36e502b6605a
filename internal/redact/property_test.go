// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"encoding/json"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Where a secret is written decides which characters it may have, and how they are written.
const (
	letters  = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	base64   = letters + "+/="
	marks    = letters + `!#$%&*+,-./:;<=>?@[]^_{|}~`
	anything = marks + " '\"\\`()\t" + "äßſ€漢"
)

// place is how a secret is written in a kind of templates.
type place struct {
	alphabet string
	write    func(secret string) string
	// around are texts in which § is the secret.
	around []string
}

func asIs(secret string) string { return secret }

func singleQuoted(secret string) string { return "'" + strings.ReplaceAll(secret, "'", `'\''`) + "'" }

func doubleQuoted(secret string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`").Replace(secret) + `"`
}

func escaped(secret string) string {
	var out strings.Builder
	for _, r := range secret {
		out.WriteString(`\` + string(r))
	}
	return out.String()
}

func inJSON(secret string) string {
	quoted, _ := json.Marshal(secret) // a string always can be
	return string(quoted)
}

// names are what secrets are called.
var names = strings.Fields("password PASSWD db_pass rootPass passphrase token API_TOKEN apiKey secret-key client_secret credential pin sig otp")

// templates returns texts around secrets (§), by how these are written. A | stands for the NUL between
// arguments.
func templates() []place {
	whole := []string{
		"mysql|-p§|db", "sshpass|-p|§|ssh|h", "mongosh|-u|a|-p|§", "redis-cli|-a|§", "ldapsearch|-w|§|-b|x", "zip|-P|§|x.zip",
		"sqlcmd|-U|sa|-P|§", "openssl|enc|-k|§", "openssl|rsa|-passin|pass:§", "usermod|-p|§|bob", "ipmitool|-U|a|-P|§|power|off",
		"curl|-u|bob:§|https://h", "curl|-ubob:§", "curl|--user|bob:§", "curl|--proxy-user=bob:§", "etcdctl|--user|root:§|get|k",
		"smbclient|//h/s|-U|d/u%§", "lftp|-u|a,§|h", "sqlplus|scott/§@orcl", "htpasswd|-b|f|u|§", "rabbitmqctl|add_user|u|§",
		"vault|login|§", "nmcli|d|wifi|connect|s|password|§", "wpa_passphrase|home|§", "docker|login|-u|a|-p|§|r",
		"sudo|-n|mysql|-p§", "docker|exec|-it|c|redis-cli|-a|§", "curl|-H|Authorization: Bearer §|https://h", "curl|-H|X-Auth: §",
		"curl|-H|Cookie: §", "echo|root:§", "tool|--password|--|§", "psql|--set=password=§", "ssh-keygen|-N|§",
	}
	inShell := []string{
		"sh|-c|mysql -p§ db", "sh|-c|echo § ¦ sudo -S reboot", "sh|-c|echo x; redis-cli -a § ping", "sh|-c|A=1 TOKEN=§ run x",
		"bash|-lc|x && curl -u bob:§ https://h", "ssh|h|mysql --password § x", "ssh|h|mysql --password=§ x", "sh|-c|(sshpass -p § ssh h)",
		"sh|-c|printf %s § ¦ docker login --password-stdin r", "sh|-c|kinit u <<< §", "watch|redis-cli -a § info",
	}
	inLink := []string{
		"psql|postgres://u:§@h/db", "psql|postgres://u@d:§@h/db", "redis-cli|-u|redis://:§@h", "git|clone|https://u:§@h/r",
		"curl|-x|u:§@h:3128|https://x", "sh|-c|psql postgres://u:§@h/db", "a postgres://u:§@h b",
	}
	inQuery := []string{"curl|https://h/x?N=§&se=1", "curl|https://h/x?a=b&N=§", "java|-Durl=jdbc:x://h/d?user=a&N=§", "curl|-d|a=b&N=§&c=d"}
	inObject := []string{
		`curl|-d|{"N":§}|https://h`, `curl|-d|{"a": 1, "N" : §, "b": "c"}`, `python3|-c|f(N=§, b=1)`, `python3|-c|f(N = §)`, `ruby|-e|{"N" => §}`,
		"c|a: 1\nN: §\nb: 2",
	}
	for _, name := range names {
		whole = append(whole, "tool|--"+name+"|§|x", "tool|--"+name+"=§|x", "env|"+name+"=§|x", "tool|-D"+name+"=§|x", "tool|"+name+": §")
		inShell = append(inShell, "sh|-c|tool --"+name+" § x", "sh|-c|"+name+"=§ tool x")
	}
	named := func(forms []string) (all []string) {
		for _, form := range forms {
			for _, name := range names {
				all = append(all, strings.ReplaceAll(form, "N", name))
			}
		}
		return all
	}
	queries, objects := named(inQuery), named(inObject)
	return []place{
		{anything, asIs, whole},
		{anything, singleQuoted, inShell},
		{anything, doubleQuoted, inShell},
		{anything, escaped, inShell},
		{base64, asIs, inShell},
		{base64 + "@:!$*,.;~", asIs, inLink},
		{anything, url.QueryEscape, inLink},
		{anything, url.QueryEscape, queries},
		{base64, asIs, queries},
		{anything, inJSON, objects},
		{letters, asIs, []string{"tool|ghp_§", "tool|x=sk_live_§", "sh|-c|tool glpat-§ x", "tool xoxb-§ y", "curl|https://h/npm_§§§§/x"}},
	}
}

// A secret that is put into any of the templates does not appear, nor does a part of it.
func TestNeverAppears(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same secrets each time
	count := 0
	for _, p := range templates() {
		for _, around := range p.around {
			count++
			for range 40 {
				secret := randomSecret(random, p.alphabet)
				written := p.write(secret)
				title := strings.ReplaceAll(arguments(around), "§", written)
				got := conceal(title)
				for part := range parts(written) {
					if !assert.NotContains(t, got, part, "%q became %q; the secret is %q", title, got, secret) {
						return
					}
				}
			}
		}
	}
	assert.GreaterOrEqual(t, count, 200)
}

func randomSecret(random *rand.Rand, alphabet string) string {
	runes := []rune(alphabet)
	secret := []rune{'Q', 'z'} // no secret looks like an option, a path or a choice
	for range 10 + random.IntN(10) {
		secret = append(secret, runes[random.IntN(len(runes))])
	}
	return string(append(secret, 'Q', 'j'))
}

// parts yields the parts of a secret that nobody may see.
func parts(written string) map[string]bool {
	const length = 6
	all := map[string]bool{}
	for i := range len(written) - length + 1 {
		all[written[i:i+length]] = true
	}
	return all
}

// What is not a secret stays as it is, byte for byte, whatever is in it.
func FuzzRest(f *testing.F) {
	for _, line := range ordinary {
		f.Add(arguments(line))
	}
	for _, arguments := range commandLines(f) {
		f.Add(strings.Join(arguments, "\x00"))
	}
	for _, p := range templates() {
		for _, around := range p.around {
			f.Add(arguments(around))
		}
	}
	f.Fuzz(func(t *testing.T, title string) {
		got := conceal(title)
		rest := title
		for i, kept := range strings.Split(got, redacted) {
			at := strings.Index(rest, kept)
			if at < 0 || i == 0 && at > 0 {
				if strings.Contains(title, redacted) {
					t.Skip("it has stars of its own")
				}
				t.Fatalf("%q became %q: %q is new", title, got, kept)
			}
			rest = rest[at+len(kept):]
		}
		assert.Equal(t, conceal(firstArgument(title)), Program.Apply(title))
	})
}

// hostile are texts that make a careless program slow.
var hostile = map[string]string{
	"equals":   strings.Repeat("=", 4096),
	"names":    strings.Repeat("key=", 1024),
	"calls":    strings.Repeat("token(", 680),
	"listed":   strings.Repeat(`token(a,"true",`, 270),
	"lists":    strings.Repeat(`token=("`, 512),
	"finds":    strings.Repeat("find\x00-exec\x00", 372),
	"values":   "secret\x00" + strings.Repeat("--value\x00a\x00", 400),
	"inputs":   "true|" + strings.Repeat("=- vault ", 450) + "secret",
	"SQL":      strings.Repeat("SET PASSWORD FOR ", 240),
	"quotes":   strings.Repeat(`'"`, 2048),
	"slashes":  strings.Repeat("/", 2000) + strings.Repeat("key=1 ", 340),
	"links":    strings.Repeat("a://", 1024),
	"users":    strings.Repeat("a://b:c@", 512),
	"percent":  strings.Repeat("%25", 1365),
	"nested":   strings.Repeat("sh -c 'a ", 455),
	"escaped":  strings.Repeat(`sh -c "a \`, 409),
	"options":  strings.Repeat("docker login -p ", 256),
	"programs": strings.Repeat("mysql\x00curl\x00", 372),
	"tokens":   strings.Repeat("SG.AIza-", 512),
	"keys":     strings.Repeat("-----BEGIN ", 372),
	"pipes":    strings.Repeat("echo a|", 585),
	"blanks":   "password" + strings.Repeat(" ", 4000) + ":",
	"spaces":   strings.Repeat(": ", 2048),
	"bytes":    strings.Repeat("\xff\xfe=", 1365),
	"elements": strings.Repeat("<password a=b>", 292),
	"openings": strings.Repeat("<password \"", 372),
	"sources":  strings.Repeat("a:b@(c)/", 512),
	"hosts":    strings.Repeat("@a(@", 1024),
	"codes":    strings.Repeat("?code=a", 585),
	"bots":     strings.Repeat("123456:", 585),
	"prefixes": strings.Repeat("nvapi-", 682),
	"switches": strings.Repeat("pulumi config set --secret ", 151),
}

// The time grows with the length, not with its square.
func BenchmarkHostile(b *testing.B) {
	for name, title := range hostile {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(title)))
			for b.Loop() {
				conceal(title)
			}
		})
	}
}
