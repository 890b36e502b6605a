// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// None of these shows its secret, but for the first, where it is the name of a database.
func TestCommandLines(t *testing.T) {
	t.Parallel()
	const secret = "hunter2Zq"
	for number, arguments := range commandLines(t) {
		text := strings.Join(arguments, " ")
		for form, separator := range map[string]string{"arguments": "\x00", "one string": " "} {
			got := conceal(strings.Join(arguments, separator))
			switch {
			case number == 0:
				assert.Contains(t, got, secret, form)
			case form == "arguments" || !strings.Contains(text, "two words") && !strings.Contains(text, "a b"):
				assert.NotContains(t, got, secret, "%s: %s became %q", form, text, got)
			}
			assert.Contains(t, got, arguments[0], form)
		}
	}
}

// commandLines returns the arguments of command lines that were once shown with their secrets.
func commandLines(tb testing.TB) (all [][]string) {
	tb.Helper()
	file, err := os.Open("testdata/command-lines.jsonl")
	require.NoError(tb, err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var arguments []string
		require.NoError(tb, json.Unmarshal(lines.Bytes(), &arguments))
		all = append(all, arguments)
	}
	require.NoError(tb, lines.Err())
	return all
}

// Each hides exactly its secret. A | stands for the NUL between arguments, and a ¦ for itself.
func TestKinds(t *testing.T) {
	t.Parallel()
	for kind, table := range map[string][][2]string{
		"options of programs": {
			{"mysql|-u|root|-phunter2|db", "mysql|-u|root|-p***|db"},
			{"/usr/bin/sshpass|-p|hunter2|ssh|-p|22|h", "/usr/bin/sshpass|-p|***|ssh|-p|22|h"},
			{"sshpass|-phunter2|ssh|h", "sshpass|-p***|ssh|h"},
			{"curl|-sSu|bob:hunter2|https://h", "curl|-sSu|bob:***|https://h"},
			{"curl|-ubob:hunter2|https://h", "curl|-ubob:***|https://h"},
			{"curl|-u|bob|https://h", "curl|-u|bob|https://h"},
			{"curl|-u|hunter2:|https://h", "curl|-u|***|https://h"},
			{"curl|-b|sid=hunter2|https://h", "curl|-b|***|https://h"},
			{"redis-cli|-h|h|-a|hunter2|ping", "redis-cli|-h|h|-a|***|ping"},
			{"ldapsearch|-x|-D|cn=a|-w|hunter2|-b|dc=x", "ldapsearch|-x|-D|cn=a|-w|***|-b|dc=x"},
			{"zip|-r|-P|hunter2|x.zip|f", "zip|-r|-P|***|x.zip|f"},
			{"7z|a|-phunter2|x.7z|f", "7z|a|-p***|x.7z|f"},
			{"rar|a|-hphunter2|x.rar", "rar|a|-hp***|x.rar"},
			{"openssl|enc|-k|hunter2|-in|f", "openssl|enc|-k|***|-in|f"},
			{"openssl|rsa|-passin|pass:hunter2", "openssl|rsa|-passin|***"},
			{"openssl|passwd|-6|hunter2", "openssl|passwd|-6|***"},
			{"ssh-keygen|-f|/k|-N|hunter2", "ssh-keygen|-f|/k|-N|***"},
			{"mongosh|-u|a|-p|hunter2|--host|h", "mongosh|-u|a|-p|***|--host|h"},
			{"docker|login|-u|a|-p|hunter2|reg", "docker|login|-u|a|-p|***|reg"},
			{"docker|exec|-it|db|mysql|-phunter2", "docker|exec|-it|db|mysql|-p***"},
			{"sudo|-u|bob|mysqldump|-phunter2|db", "sudo|-u|bob|mysqldump|-p***|db"},
			{"env|-i|A=b|timeout|-s|9|5|redis-cli|-a|hunter2", "env|-i|A=b|timeout|-s|9|5|redis-cli|-a|***"},
			{"kubectl|exec|pod|--|mysql|-phunter2", "kubectl|exec|pod|--|mysql|-p***"},
			{"supervisorctl|-u|admin|-p|hunter2|stop|web", "supervisorctl|-u|admin|-p|***|stop|web"},
			{"/usr/bin/python3|/usr/bin/supervisorctl|-c|/f|-phunter2|stop|web", "/usr/bin/python3|/usr/bin/supervisorctl|-c|/f|-p***|stop|web"},
			{"supervisorctl|-u|admin|stop|web", "supervisorctl|-u|admin|stop|web"},
			{"ctr|images|pull|--user|bob:hunter2|image", "ctr|images|pull|--user|bob:***|image"},
			{"ctr|run|--user|1000:1000|image|c", "ctr|run|--user|1000:1000|image|c"},
			{"nodetool|-u|cass|-pw|hunter2|stopdaemon", "nodetool|-u|cass|-pw|***|stopdaemon"},
			{"fence_ipmilan|-a|h|-l|admin|-p|hunter2|-o|off", "fence_ipmilan|-a|h|-l|admin|-p|***|-o|off"},
			{"plink|-pw|hunter2|h", "plink|-pw|***|h"},
			{"xfreerdp|/u:bob|/p:hunter2|/v:h", "xfreerdp|/u:bob|/p:***|/v:h"},
			{"qpdf|--encrypt|hunter2|hunter2|256|--|a.pdf|b.pdf", "qpdf|--encrypt|***|***|256|--|a.pdf|b.pdf"},
			{"unknown|-phunter2", "unknown|-p***"},
			{"kubectl|create|secret|generic|s|--from-literal=a=hunter2", "kubectl|create|secret|generic|s|--from-literal=a=***"},
			{"ctr|images|push|--user|bob:hunter2|image", "ctr|images|push|--user|bob:***|image"},
			{"vsql|-U|ann|-w|hunter2|-p|5433", "vsql|-U|ann|-w|***|-p|5433"},
			{"virsh|secret-set-value|--secret|7f3c|--base64|hunter2", "virsh|secret-set-value|--secret|***|--base64|***"},
			{"aws|ssm|put-parameter|--name|/db/password|--type|String|--value|hunter2", "aws|ssm|put-parameter|--name|/db/password|--type|String|--value|***"},
			{"aws|ssm|put-parameter|--type|SecureString|--value|hunter2", "aws|ssm|put-parameter|--type|SecureString|--value|***"},
			{"az|keyvault|secret|set|--vault-name|v|--name|n|--value=hunter2", "az|keyvault|secret|set|--vault-name|v|--name|n|--value=***"},
		},
		"values of names": {
			{"aws|ssm|put-parameter|--name=/db/password|--value|hunter2", "aws|ssm|put-parameter|--name=/db/password|--value|***"},
			{"aws|ssm|put-parameter|--value=hunter2|--name=/db/password", "aws|ssm|put-parameter|--value=***|--name=/db/password"},
			{"iscsiadm|-m|node|-o|update|-vhunter2|-n|node.session.auth.password", "iscsiadm|-m|node|-o|update|-v***|-n|node.session.auth.password"},
			{"iscsiadm|-m|node|-o|update|-v|hunter2|-n|node.session.auth.password", "iscsiadm|-m|node|-o|update|-v|***|-n|node.session.auth.password"},
		},
		"several options in one": {
			{"zip|-rP|hunter2|x.zip|f", "zip|-rP|***|x.zip|f"},
			{"zip|-9rqPhunter2|x.zip|f", "zip|-9rqP***|x.zip|f"},
			{"unzip|-qqoP|hunter2|x.zip", "unzip|-qqoP|***|x.zip"},
			{"sshpass|-vp|hunter2|ssh|h", "sshpass|-vp|***|ssh|h"},
			{"ldapsearch|-xwhunter2|-D|cn=a", "ldapsearch|-xw***|-D|cn=a"},
			{"ldapsearch|-LLLxw|hunter2|-D|cn=a", "ldapsearch|-LLLxw|***|-D|cn=a"},
			{"ldappasswd|-xs|hunter2|cn=a", "ldappasswd|-xs|***|cn=a"},
			{"mysql|-NBphunter2|db", "mysql|-NBp***|db"},
			{"mysql|-NBe|SELECT 1", "mysql|-NBe|SELECT 1"},
			{"useradd|-mp|hunter2|bob", "useradd|-mp|***|bob"},
			{"ssh-keygen|-qN|hunter2|-f|/k", "ssh-keygen|-qN|***|-f|/k"},
			{"ccrypt|-eK|hunter2|f", "ccrypt|-eK|***|f"},
			{"ipmitool|-vP|hunter2|power|off", "ipmitool|-vP|***|power|off"},
			{"http|-va|bob:hunter2|https://h", "http|-va|bob:***|https://h"},
		},
		"a program runs another": {
			{"find|/|-exec|zip|-P|hunter2|{}|;", "find|/|-exec|zip|-P|***|{}|;"},
			{"find|/|-execdir|mysql|-phunter2|{}|+|-print", "find|/|-execdir|mysql|-p***|{}|+|-print"},
			{"sudo|find|/|-ok|vault|login|hunter2|;|-delete", "sudo|find|/|-ok|vault|login|***|;|-delete"},
			{`sh|-c|find / -exec zip -P hunter2 {} \; -print`, `sh|-c|find / -exec zip -P *** {} \; -print`},
			{"find|/|-exec|sh|-c|redis-cli -a hunter2 <$1|_|{}|;", "find|/|-exec|sh|-c|redis-cli -a *** <$1|_|{}|;"},
			{"fd|-e|txt|-x|zip|-P|hunter2|{}", "fd|-e|txt|-x|zip|-P|***|{}"},
			{"fd|--exec=unzip|-P|hunter2|{}", "fd|--exec=unzip|-P|***|{}"},
			{"find|zip|-exec|redis-cli|-a|hunter2|;", "find|zip|-exec|redis-cli|-a|***|;"},
			{"xterm|-e|redis-cli|-a|hunter2", "xterm|-e|redis-cli|-a|***"},
			{"start-stop-daemon|--start|--exec|/usr/bin/redis-cli|--|-a|hunter2", "start-stop-daemon|--start|--exec|/usr/bin/redis-cli|--|-a|***"},
		},
		"names": {
			{"tool|--db-pass|hunter2|x", "tool|--db-pass|***|x"},
			{"tool|--rootPass=hunter2|x", "tool|--rootPass=***|x"},
			{"tool|--APIKey|hunter2|x", "tool|--APIKey|***|x"},
			{"tool|-storepass|hunter2|x", "tool|-storepass|***|x"},
			{"tool|--ＰＡＳＳＷＯＲＤ=hunter2", "tool|--ＰＡＳＳＷＯＲＤ=***"},
			{"tool|--To\u212aen=hunter2", "tool|--To\u212aen=***"},
			{"tool|AZURE_SAS=hunter2", "tool|AZURE_SAS=***"},
			{"tool|PASSWORD|hunter2|x", "tool|PASSWORD|***|x"},
			{"nmcli|c|modify|n|wifi-sec.psk|hunter2", "nmcli|c|modify|n|wifi-sec.psk|***"},
			{"redis-cli|config|set|requirepass|hunter2", "redis-cli|config|set|requirepass|***"},
			{"redis-cli|config|set|masterauth|hunter2", "redis-cli|config|set|masterauth|***"},
			{"redis-server|--masterauth|hunter2|--port|1", "redis-server|--masterauth|***|--port|1"},
			{"valkey-server|--primaryauth|hunter2", "valkey-server|--primaryauth|***"},
			{"tool|-proxyauth|ann:hunter2", "tool|-proxyauth|***"},
			{"iscsiadm|-m|node|-o|update|-n|node.session.auth.password|-v|hunter2", "iscsiadm|-m|node|-o|update|-n|node.session.auth.password|-v|***"},
			{"iscsiadm|-m|node|--name|node.session.auth.password|--value=hunter2", "iscsiadm|-m|node|--name|node.session.auth.password|***"},
			{"tool|--key|db.password|--value|hunter2|x", "tool|--key|***|--value|***|x"},
			{"pwsh|-c|ConvertTo-SecureString hunter2 -AsPlainText", "pwsh|-c|ConvertTo-SecureString *** -AsPlainText"},
			{"aws|configure|set|aws_secret_access_key|hunter2", "aws|configure|set|aws_secret_access_key|***"},
			{"tool|password:|hunter2|x", "tool|password:|***|x"},
			{"tool|password|=|hunter2|x", "tool|password|=|***|x"},
			{"tool|/password:hunter2|x", "tool|/password:***|x"},
			{"tool|--user|ann:hunter2", "tool|--user|ann:***"},
			{"tool|--login=ann:hunter2", "tool|--login=ann:***"},
			{"tool|user[password]=hunter2", "tool|user[password]=***"},
		},
		"headers": {
			{"curl|-H|Authorization: Basic hunter2", "curl|-H|Authorization: Basic ***"},
			{"curl|-H|Proxy-Authorization: NTLM hunter2 x", "curl|-H|Proxy-Authorization: NTLM ***"},
			{"curl|-HX-Auth-Token: hunter2", "curl|-HX-Auth-Token: ***"},
			{"curl|-H|Cookie: a=hunter2; b=c", "curl|-H|Cookie: ***"},
			{"git|-c|http.extraheader=Authorization: Bearer hunter2|push", "git|-c|http.extraheader=Authorization: Bearer ***|push"},
			{"curl -H Authorization: Bearer hunter2 https://h", "curl -H Authorization: Bearer *** https://h"},
		},
		"JSON and the like": {
			{`c|{"password" : "hunter2", "a": 1}`, `c|{"password" : "***", "a": 1}`},
			{`c|{"password":"hun\"ter2","a":1}`, `c|{"password":"***","a":1}`},
			{`c|{"p\u0061ssword":"hunter2"}`, `c|{"p\u0061ssword":"***"}`},
			{`c|{"pin":1234,"a":1}`, `c|{"pin":***,"a":1}`},
			{`c|{\"password\":\"hunter2\"}`, `c|{\"password\":\"***\"}`},
			{`c|{'token' => 'hunter2'}`, `c|{'token' => '***'}`},
			{"c|a: b\npassword: hunter2\nc: d", "c|a: b\npassword: ***\nc: d"},
			{"c|<a><password>hunter2</password></a>", "c|<a><password>***</password></a>"},
			{"c|CREATE USER a IDENTIFIED BY 'hunter2'", "c|CREATE USER a IDENTIFIED BY '***'"},
			{"c|ALTER ROLE a PASSWORD 'hunter2'", "c|ALTER ROLE a PASSWORD '***'"},
		},
		"SQL": {
			{"c|CREATE USER a IDENTIFIED WITH mysql_native_password BY 'hunter2'", "c|CREATE USER a IDENTIFIED WITH mysql_native_password BY '***'"},
			{"c|CREATE USER a IDENTIFIED WITH 'sha256_password' AS 'hunter2' x", "c|CREATE USER a IDENTIFIED WITH 'sha256_password' AS '***' x"},
			{
				"c|CREATE USER a IDENTIFIED VIA unix_socket OR mysql_native_password USING 'hunter2'",
				"c|CREATE USER a IDENTIFIED VIA unix_socket OR mysql_native_password USING '***'",
			},
			{"c|CREATE USER a IDENTIFIED BY PASSWORD 'hunter2'", "c|CREATE USER a IDENTIFIED BY *** '***'"},
			{"c|ALTER USER a identified by values 'hunter2'", "c|ALTER USER a identified by *** '***'"},
			{"c|ALTER USER a IDENTIFIED WITH mysql_native_password", "c|ALTER USER a IDENTIFIED WITH mysql_native_password"},
			{"c|SET PASSWORD FOR 'a' = 'hunter2'", "c|SET PASSWORD FOR 'a' = '***'"},
			{"c|set password for 'a'@'h' = 'hunter2'", "c|set password for 'a'@'h' = '***'"},
			{"c|SET PASSWORD FOR a='hunter2'", "c|SET PASSWORD FOR a='***'"},
			{"c|SET PASSWORD FOR 'a'= 'hunter2'", "c|SET PASSWORD FOR 'a'= '***'"},
			{"c|SET PASSWORD FOR a TO 'hunter2'", "c|SET PASSWORD FOR a TO '***'"},
			{"c|SET PASSWORD FOR CURRENT_USER() = 'hunter2'", "c|SET PASSWORD FOR CURRENT_USER() = '***'"},
			{"c|SET PASSWORD FOR 'a' @ 'h' = 'hunter2'", "c|SET PASSWORD FOR 'a' @ 'h' = '***'"},
			{"c|SET PASSWORD FOR 'a'@ 'h' = 'hunter2'", "c|SET PASSWORD FOR 'a'@ 'h' = '***'"},
			{"c|SET PASSWORD FOR 'a' @'h' = 'hunter2'", "c|SET PASSWORD FOR 'a' @'h' = '***'"},
			{"c|ALTER USER a IDENTIFIED BY 'hunter2' REPLACE 'hunter2'", "c|ALTER USER a IDENTIFIED BY '***' REPLACE '***'"},
			{"c|SET PASSWORD = 'hunter2' REPLACE 'hunter2'", "c|SET PASSWORD = '***' REPLACE '***'"},
			{`sh|-c|mysql -e "SET PASSWORD FOR CURRENT_USER() = 'hunter2'"`, `sh|-c|mysql -e "SET PASSWORD FOR CURRENT_USER() = '***'"`},
			{"c|ALTER CURRENT USER SET PASSWORD FROM 'hunter2' TO 'hunter2'", "c|ALTER CURRENT USER SET PASSWORD FROM '***' TO '***'"},
		},
		"calls": {
			{`mongosh|--eval|db.auth("admin","hunter2")`, `mongosh|--eval|db.auth("***","***")`},
			{`mongosh|--eval|db.auth("admin", "hunter2"); db.x("y")`, `mongosh|--eval|db.auth("***", "***"); db.x("y")`},
			{`mongosh|--eval|db.changeUserPassword("ann",'hunter2')`, `mongosh|--eval|db.changeUserPassword("***",'***')`},
			{`python3|-c|c.set_password(user, "hunter2")`, `python3|-c|c.set_password(user, "***")`},
			{`python3|-c|s.login("ann", b"hunter2")`, `python3|-c|s.login("***", b"***")`},
			{`python3|-c|get(u, auth=("ann", "hunter2"))`, `python3|-c|get(u, auth=***)`},
			{`python3|-c|get(u, auth=HTTPBasicAuth("ann", "hunter2"))`, `python3|-c|get(u, auth=***)`},
			{`python3|-c|get(u, auth=("ann", "hunter2)")); x("y")`, `python3|-c|get(u, auth=***); x("y")`},
			{`node|-e|auth(login, callback)`, `node|-e|auth(login, callback)`},
		},
		"quoting": {
			{`sh|-c|x --password="hunter2 a" y`, `sh|-c|x --password="***" y`},
			{`sh|-c|x --password 'it'\''s hunter2' y`, `sh|-c|x --password '***' y`},
			{`sh|-c|x --pass'word' hunter2 y`, `sh|-c|x --pass'word' *** y`},
			{`sh|-c|x --pass\word=hunter2 y`, `sh|-c|x --pass\word=*** y`},
			{`sh|-c|x $'--\x70assword' hunter2 y`, `sh|-c|x $'--\x70assword' *** y`},
			{`sh|-c|x -a; mysql -phunter2; y`, `sh|-c|x -a; mysql -p***; y`},
			{`sh|-c|x && mysql -phunter2 > /f`, `sh|-c|x && mysql -p*** > /f`},
			{`sh|-c|x $(mysql -phunter2) y`, `sh|-c|x $(mysql -p***) y`},
			{`ssh|h|sh -c "mysql -phunter2 db" ¦ less`, `ssh|h|sh -c "mysql -p*** db" ¦ less`},
			{`ssh|h|sh -c "mysql --password \"hunter2\" db"`, `ssh|h|sh -c "mysql --password \"***\" db"`},
			{`sh|-c|mysql -p$(echo hunter2) db`, `sh|-c|mysql -p***(***) db`},
			{`mysql|"-phunter2"|db`, `mysql|"-p***|db`},
			{`x|--password "hunter2`, `x|--password ***`},
		},
		"links": {
			{"c|x://ann:hunter2@h/y", "c|x://ann:***@h/y"},
			{"c|x://:hunter2@h", "c|x://:***@h"},
			{"c|x://ann:hun/ter2@h/y", "c|x://ann:***@h/y"},
			{"c|x://ann:hun@ter2@h/y", "c|x://ann:***@h/y"},
			{"c|x://a@b:hunter2@h/y", "c|x://a@b:***@h/y"},
			{"c|x://a@b:hunter2", "c|x://a@b:***"},
			{"c|x://ann@h:8080/y", "c|x://ann@h:8080/y"},
			{"c|x://ann%3Ahunter2@h/y", "c|x://ann%3A***@h/y"},
			{"c|x://h/?a=b&token=hunter2&c=d", "c|x://h/?a=b&token=***&c=d"},
			{"c|x://h/?X-Amz-Signature=hunter2#y", "c|x://h/?X-Amz-Signature=***"},
			{"c|x://h/?next=%3Ftoken%3Dhunter2", "c|x://h/?next=%3Ftoken%3D***"},
			{"c|x://h/?p%61ss=hunter2", "c|x://h/?p%61ss=***"},
			{"c|--proxy|ann:hunter2@h:3128", "c|--proxy|ann:***@h:3128"},
			{"c|url=\"x://ann:hunter2@h/y\" z", "c|url=\"x://ann:***@h/y\" z"},
			{"c|https://0123456789abcdef01234567@h/y", "c|https://***@h/y"},
		},
		"tokens": {
			{"c|ghp_hunter2hunter2", "c|ghp_***"},
			{"c|sk_live_hunter2", "c|sk_live_***"},
			{"c|x=glpat-hunter2,y", "c|x=glpat-***,y"},
			{"c|AKIAHUNTER2HUNTER2", "c|AKIA***"},
			{"c|eyJhbGciOiJIUzI1NiJ9.hunter2.hunter2", "c|eyJ***"},
			{"c|-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----", "c|-----BEGIN ***-----END RSA PRIVATE KEY-----"},
			{"c|-----BEGIN OPENSSH PRIV", "c|-----BEGIN ***"},
		},
		"places": {
			{"htpasswd|-b|/f|ann|hunter2", "htpasswd|-b|/f|ann|***"},
			{"sudo|htpasswd|-nb|ann|hunter2", "sudo|htpasswd|-nb|ann|***"},
			{"vault|login|hunter2", "vault|login|***"},
			{"vault|login|-method=userpass|username=a|password=hunter2", "vault|login|-method=userpass|***|***"},
			{"vault|kv|put|secret/x|a=hunter2", "vault|kv|put|secret/x|a=***"},
			{"redis-cli|-h|h|AUTH|ann|hunter2", "redis-cli|-h|h|AUTH|***|***"},
			{"redis-cli|MIGRATE|h|6379|k|0|5000|AUTH2|ann|hunter2", "redis-cli|MIGRATE|h|6379|k|0|5000|AUTH2|***|***"},
			{"rabbitmqctl|change_password|ann|hunter2", "rabbitmqctl|change_password|ann|***"},
			{"wpa_passphrase|home|hunter2", "wpa_passphrase|home|***"},
			{"sqlplus|-s|scott/hunter2@orcl|@/x.sql", "sqlplus|-s|scott/***@orcl|@/x.sql"},
			{"sqlplus|/|as|sysdba", "sqlplus|/|as|sysdba"},
			{"smbclient|//h/s|-U|d/ann%hunter2", "smbclient|//h/s|-U|d/ann%***"},
			{"lftp|-e|open -u ann,hunter2 h", "lftp|-e|open -u ann,*** h"},
			{"npm|config|set|//registry.npmjs.org/:_authToken|hunter2", "npm|config|set|//registry.npmjs.org/:_authToken|***"},
			{"lftp|-u|ann,hunter2|h", "lftp|-u|ann,***|h"},
			{"mc|alias|set|s3|http://h|ann|hunter2", "mc|alias|set|s3|http://h|***|***"},
			{"virsh|set-user-password|dom|ann|hunter2", "virsh|set-user-password|dom|ann|***"},
			{"virsh|secret-set-value|7f3c|hunter2", "virsh|secret-set-value|7f3c|***"},
			{"racadm|config|-g|g|-o|cfgUserAdminPassword|-i|2|hunter2", "racadm|config|-g|g|-o|cfgUserAdminPassword|-i|***|***"},
			{"racadm|config|-g|g|-i|2|-o|cfgUserAdminPassword|hunter2", "racadm|config|-g|g|-i|2|-o|cfgUserAdminPassword|***"},
			{"ipmitool|user|set|password|2|hunter2", "ipmitool|user|set|password|2|***"},
			{"ipmitool|user|test|2|16|hunter2", "ipmitool|user|test|2|16|***"},
			{"ipmitool|lan|set|1|password|hunter2", "ipmitool|lan|set|1|password|***"},
			{"etcdctl|user|add|root:hunter2", "etcdctl|user|add|root:***"},
			{"etcdctl|user|add|root", "etcdctl|user|add|root"},
			{"zkCli.sh|addauth|digest|ann:hunter2", "zkCli.sh|addauth|digest|ann:***"},
			{`expect|-c|spawn ssh h; expect "assword:"; send "hunter2\r"`, `expect|-c|spawn ssh h; expect "assword:"; send "***"`},
		},
		"pipes": {
			{"sh|-c|echo hunter2 ¦ sudo -S reboot", "sh|-c|echo *** ¦ sudo -S reboot"},
			{"sh|-c|echo hunter2 ¦ env A=b sudo -S reboot", "sh|-c|echo *** ¦ env A=b sudo -S reboot"},
			{"sh|-c|echo hunter2 ¦ timeout 9 sudo -kS reboot", "sh|-c|echo *** ¦ timeout 9 sudo -kS reboot"},
			{"sh|-c|echo hunter2 ¦ ssh h sudo -S reboot", "sh|-c|echo *** ¦ ssh h sudo -S reboot"},
			{"sh|-c|echo hunter2 ¦ xargs tool --password", "sh|-c|echo *** ¦ xargs tool --password"},
			{"sh|-c|echo hunter2 ¦ xargs zip -r x.zip f -P", "sh|-c|echo *** ¦ xargs zip -r x.zip f -P"},
			{"sh|-c|echo hunter2 ¦ xargs -I{} tool --password {}", "sh|-c|echo *** ¦ xargs -I{} tool --password ***"},
			{"sh|-c|echo hunter2 ¦ xargs -I % mysql -p% db", "sh|-c|echo *** ¦ xargs -I % mysql -p*** db"},
			{"sh|-c|echo hunter2 ¦ xargs -rI% mysql -p% db", "sh|-c|echo *** ¦ xargs -rI% mysql -p*** db"},
			{"sh|-c|echo hunter2 ¦ xargs --replace=% mysql -p% db", "sh|-c|echo *** ¦ xargs --replace=% mysql -p*** db"},
			{"sh|-c|echo hunter2 ¦ xargs -I{} curl -u a:{} -I https://h", "sh|-c|echo *** ¦ xargs -I{} curl -u a:*** -I https://h"},
			{"sh|-c|echo hunter2 ¦ xargs -I{} sh -c 'echo {}; mysql -p{} db'", "sh|-c|echo *** ¦ xargs -I{} sh -c 'echo {}; mysql -p*** db'"},
			{"sh|-c|xargs tool --password <<< hunter2", "sh|-c|xargs tool --password <<< ***"},
			{"sh|-c|xargs tool <<< hello", "sh|-c|xargs tool <<< hello"},
			{"sh|-c|echo hunter2 ¦ parallel tool --password={}", "sh|-c|echo *** ¦ parallel tool --password=***"},
			{"sh|-c|echo hello ¦ xargs -I{} tool --password hunter2 {}", "sh|-c|echo hello ¦ xargs -I{} tool --password *** {}"},
			{"sh|-c|echo hello ¦ xargs zip -r x.zip", "sh|-c|echo hello ¦ xargs zip -r x.zip"},
			{"sh|-c|printf '%s' hunter2 ¦ docker login -u a --password-stdin r", "sh|-c|printf '***' *** ¦ docker login -u a --password-stdin r"},
			{"sh|-c|echo ann:hunter2 ¦ chpasswd", "sh|-c|echo *** ¦ chpasswd"},
			{"sh|-c|echo ann:hunter2 > /f", "sh|-c|echo ann:*** > /f"},
			{"sh|-c|echo hunter2 ¦ base64 -d ¦ passwd --stdin ann", "sh|-c|echo *** ¦ base64 -d ¦ passwd --stdin ann"},
			{"sh|-c|chpasswd <<< ann:hunter2", "sh|-c|chpasswd <<< ***"},
			{"sh|-c|(echo hunter2; echo hunter2) ¦ smbpasswd -s ann", "sh|-c|(echo ***; echo ***) ¦ smbpasswd -s ann"},
			{"sh|-c|{ echo hunter2; } ¦ sudo -S x", "sh|-c|{ echo ***; } ¦ sudo -S x"},
			{"sh|-c|echo hunter2 ¦ podman secret create x -", "sh|-c|echo *** ¦ podman secret create x -"},
			{"sh|-c|cat <<E ¦ chpasswd\nann:hunter2\nE", "sh|-c|cat <<E ¦ chpasswd\n***"},
			{"sh|-c|chpasswd <<E\nann:hunter2\nE", "sh|-c|chpasswd <<***"},
			{"sh|-c|echo hello ¦ grep x", "sh|-c|echo hello ¦ grep x"},
			{"sh|-c|echo hunter2 ¦ gcloud secrets create n --data-file=-", "sh|-c|echo *** ¦ gcloud secrets create n --data-file=-"},
			{"sh|-c|echo hunter2 ¦ gcloud secrets versions add n --data-file=/dev/stdin", "sh|-c|echo *** ¦ gcloud secrets versions add n --data-file=/dev/stdin"},
			{"sh|-c|echo hunter2 ¦ kubectl create secret generic s --from-file=a=/dev/stdin", "sh|-c|echo *** ¦ kubectl create secret generic s --from-file=a=/dev/stdin"},
			{"sh|-c|echo hunter2 ¦ ansible-vault encrypt_string --stdin-name n", "sh|-c|echo *** ¦ ansible-vault encrypt_string --stdin-name ***"},
			{"sh|-c|echo hunter2 ¦ vault kv put p value=-", "sh|-c|echo *** ¦ vault kv put p value=***"},
			{"sh|-c|echo hunter2 ¦ vault write p value=-", "sh|-c|echo *** ¦ vault write p value=***"},
			{"sh|-c|echo hello ¦ vault policy write p -", "sh|-c|echo hello ¦ vault policy write p -"},
			{"sh|-c|echo hunter2 ¦ gh secret set N", "sh|-c|echo *** ¦ gh secret set N"},
			{"sh|-c|echo hunter2 ¦ gh -R o/r secret set N", "sh|-c|echo *** ¦ gh -R o/r secret set N"},
			{"sh|-c|gh secret set N <<< hunter2", "sh|-c|gh secret set N <<< ***"},
			{"sh|-c|echo hello ¦ gh issue create -F -", "sh|-c|echo hello ¦ gh issue create -F -"},
			{"sh|-c|echo hunter2 ¦ npx wrangler secret put N", "sh|-c|echo *** ¦ npx wrangler secret *** N"},
			{"sh|-c|echo hunter2 ¦ pass insert -e x", "sh|-c|echo *** ¦ pass insert -e x"},
			{"sh|-c|echo hunter2 ¦ adcli join --stdin-password d", "sh|-c|echo *** ¦ adcli join --stdin-password ***"},
			{"sh|-c|echo hello ¦ prettier --stdin-filepath x.js", "sh|-c|echo hello ¦ prettier --stdin-filepath x.js"},
			{"sh|-c|echo hello ¦ tar --files-from=-", "sh|-c|echo hello ¦ tar --files-from=-"},
		},
	} {
		for _, row := range table {
			t.Run(kind+"/"+row[0], func(t *testing.T) {
				t.Parallel()
				assert.Equal(t, arguments(row[1]), conceal(arguments(row[0])))
			})
		}
	}
}

// arguments makes a command line of a text that is easier to read.
func arguments(s string) string { return strings.NewReplacer("|", "\x00", "¦", "|").Replace(s) }
