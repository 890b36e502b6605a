// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import "strings"

// program is what is known of the secrets in a program's arguments, other than what their names say.
type program struct {
	// names are what the program and those like it are called.
	names string
	// verb is a word, one of some, without which its options mean something else.
	verb string
	// letters are short options whose value is a secret; glued are those that have it in the same
	// word only, and pairs those whose value is a user and a secret.
	letters, glued, pairs string
	// flags are short options without a value, which may stand in front of the others: -sSu.
	flags string
	// separator is what separates a user from a secret; a colon if it is empty.
	separator string
	// long and longPairs are further options; doubles are those with two secrets.
	long, longPairs, doubles string
	// values are options like --value, whose value is a secret if another word is its name.
	values string
	// switches are options that are named like a secret but have no value, and plain are those whose value is neither a
	// secret nor an operand.
	switches, plain string
	// operands are secrets that are no options, and operand looks at every word that is none.
	operands []operandRule
	operand  func(f *finder, w text)
	// commands are options that a command follows, up to a ; or {} +.
	commands string
	// wrapper says that it runs another program, and shell that the value of -c is a script.
	wrapper, shell bool
	// alone says that the name means something else unless it is the first word.
	alone bool
	// keys says that what it calls a key is no secret.
	keys bool

	words, pairWords, doubleWords, commandWords, valueWords, switchWords, plainWords map[string]bool
}

// operandRule says which operands are secrets.
type operandRule struct {
	// after are words that must be in front, in any case, and kept is how many after them are none.
	after string
	kept  int
	// option is a letter, or a long option, without which the rule does not apply.
	option string
	// assigned says that the secrets are what is assigned to names, and pair that they are those of a user and a secret.
	assigned, pair bool
}

func (p *program) separators() string {
	if p.separator == "" {
		return ":"
	}
	return p.separator
}

// programs are the programs by name.
var programs = func() map[string]*program {
	all := map[string]*program{}
	for _, table := range [][]program{databases, remote, archives, accounts, services, wrappers, others} {
		for i := range table {
			p := &table[i]
			p.words, p.pairWords, p.doubleWords = set(p.long), set(p.longPairs), set(p.doubles)
			p.commandWords, p.valueWords = set(p.commands), set(p.values)
			p.switchWords, p.plainWords = set(p.switches), set(p.plain)
			for name := range strings.FieldsSeq(p.names) {
				all[name] = p
			}
		}
	}
	return all
}()

var databases = []program{
	{
		names: `mysql mysqladmin mysqlbinlog mysqlcheck mysqldump mysqlimport mysqlpump mysqlshow mysqlslap mysqlsh mysql_upgrade mysqld_safe
			mysql_secure_installation mariadb mariadb-admin mariadb-backup mariadb-binlog mariadb-check mariadb-dump mariadb-import
			mariadb-show mariadb-slap mariabackup mycli`,
		glued: "p", flags: "ABbCcEfGHjKlLNnqQstVvXxYy",
	},
	{names: "mysqld mariadbd"},
	{
		names: `mongo mongosh mongodump mongoexport mongofiles mongoimport mongorestore mongostat mongotop cqlsh cypher-shell beeline mydumper
			myloader innobackupex xtrabackup exaplus couchbase-cli cbbackup cbq cbrestore impala-shell presto hydra medusa
			evil-winrm nxc netexec crackmapexec smbmap rdesktop esxcli hponcfg ilorest steghide veracrypt truecrypt aescrypt ncftp
			ncftpget ncftpput atmail`,
		letters: "p",
	},
	{names: "vsql", letters: "w", flags: "1aAeEHilnNqStxX"},
	{names: "nodetool", letters: "p", long: "-pw"},
	{names: "redis-cli valkey-cli keydb-cli", letters: "a", operands: []operandRule{{after: "auth"}, {after: "auth2"}, {after: "acl setuser", kept: 1}}},
	{names: "redis-benchmark", letters: "a"},
	// The second is what the first becomes, behind java and its options.
	{names: "elasticsearch-users org.elasticsearch.launcher.CliToolLauncher", verb: "passwd useradd", letters: "p"},
	{names: "sqlcmd bcp tsql osql isql-fb", letters: "P"},
	{names: "isql iusql", letters: "P", operands: []operandRule{{kept: 2}}},
	{names: "sqlplus sqlldr expdp impdp exp imp rman sqlcl", operand: account},
	{names: "db2", operands: []operandRule{{after: "using"}}},
	{names: "gbak gfix gsec gstat isql-firebird", long: "-pas -pass -password -pw -ph -fetch_password"},
	{names: "pg_dump pg_dumpall pg_restore psql pg_basebackup pg_ctl pg_isready pgbench createdb dropdb vacuumdb reindexdb postgres initdb"},
	{names: "influx", letters: "t", long: "-password"},
	{names: "neo4j-admin clickhouse-client"},
	{names: "etcdctl", longPairs: "--user -u", operands: []operandRule{{after: "user add", pair: true}}},
	{names: "zkCli.sh zkCli zookeeper-shell zookeeper-shell.sh", operands: []operandRule{{after: "addauth digest", pair: true}}},
	{names: "rabbitmqctl", operands: []operandRule{{after: "add_user", kept: 1}, {after: "change_password", kept: 1}, {after: "authenticate_user", kept: 1}}},
	{names: "rabbitmqadmin", letters: "p"},
}

var remote = []program{
	{names: "sshpass", letters: "p", flags: "evhV", wrapper: true},
	{names: "plink pscp psftp putty", long: "-pw"},
	{names: "iscsiadm", values: "-v"},
	{
		names: "curl", letters: "b", pairs: "uUE", flags: "0123456789#afgGiIjJkklLMnNOpqRsSvVZB", long: "--oauth2-bearer --cookie",
		longPairs: "--user --proxy-user --cert --proxy-cert",
	},
	{names: "http https xh", pairs: "a", flags: "bcdfFhIjmqSvx4", longPairs: "--auth"},
	{names: "ab", pairs: "AP", letters: "C", flags: "dhiklqrSVw"},
	{names: "wrk hey siege", pairs: "a"},
	{names: "wget aria2c axel", long: "--http-passwd --ftp-passwd"},
	{names: "lftp", pairs: "u", separator: ",", longPairs: "--user"},
	{names: "open", pairs: "u", separator: ",", alone: true},
	{names: "ftp tnftp", pairs: "u"},
	{names: "transmission-remote", pairs: "n", longPairs: "--auth"},
	{names: "transmission-daemon", letters: "v", switches: "--auth"},
	{names: "zerotier-cli", glued: "T"},
	{
		names: `smbget smbtree smbcacls smbcquotas smbspool rpcclient net nmblookup winexe wmic wbinfo mount.cifs smbd sharesec
			samba-tool`,
		pairs: "Ua", separator: "%", longPairs: "--user --username --authenticate --user-pass", flags: "NkPV",
		operands: []operandRule{
			{after: "password", kept: 0}, {after: "user create", kept: 1}, {after: "user add", kept: 1}, {after: "user setpassword", kept: 1},
		},
	},
	{names: "smbclient", pairs: "U", separator: "%", longPairs: "--user", flags: "NkP", operands: []operandRule{{kept: 1}}},
	{
		names:   "snmpwalk snmpget snmpset snmpbulkwalk snmpbulkget snmpgetnext snmptrap snmpinform snmptable snmpstatus snmpdf snmptranslate snmptest",
		letters: "AXckK",
	},
	{names: "snmpusm", letters: "AXck", operands: []operandRule{{after: "passwd"}}},
	{
		names: "ipmitool", letters: "Pky", flags: "acEhKVv", long: "-P",
		operands: []operandRule{{after: "user set password"}, {after: "user test", kept: 2}},
	},
	{names: "racadm", letters: "p", operands: []operandRule{{after: "cfguseradminpassword"}}}, // perhaps an index, and the secret
	{
		names: "virsh", long: "--base64",
		operands: []operandRule{{after: "set-user-password", kept: 2}, {after: "secret-set-value", kept: 1}},
	},
	{
		names: `fence_apc fence_apc_snmp fence_bladecenter fence_brocade fence_cisco_ucs fence_drac5 fence_hpblade fence_idrac fence_ilo fence_ilo2
			fence_ilo3 fence_ilo4 fence_ilo5 fence_ilo_ssh fence_imm fence_ipmilan fence_ipmilanplus fence_redfish fence_rhevm fence_rsa
			fence_virsh fence_vmware_rest fence_vmware_soap`,
		letters: "p",
	},
	{names: "ipmipower ipmi-sel ipmi-sensors ipmiconsole bmc-info ipmi-chassis", letters: "pk"},
	{
		names:   `ldapsearch ldapadd ldapmodify ldapdelete ldapcompare ldapmodrdn ldapwhoami ldapexop ldapvc ldapurl dsconf dsidm dsctl`,
		letters: "w", flags: "AcCIkKLMnNQrtuvVWxZ",
	},
	{names: "ldappasswd", letters: "was", flags: "ACIMnNQSvVWxZ"},
	{names: "kadmin kadmin.local", letters: "w", long: "-pw"},
	{names: "mosquitto_pub mosquitto_sub mosquitto_rr", letters: "P"}, //nolint:misspell // it is called that
	{names: "xfreerdp xfreerdp3 wlfreerdp sdl-freerdp", long: "-p -gp", operand: slashOption},
	{names: "swaks", long: "-ap -au --auth-password"},
	{names: "sendemail sendEmail", long: "-xp"},
	{names: "sipp", long: "-ap"},
	{names: "x11vnc tigervncserver Xvnc", long: "-passwd -viewpasswd"},
	{names: "openconnect vpnc openvpn"},
	{names: "wpa_passphrase", operands: []operandRule{{kept: 1}}},
	{names: "iwconfig iw", operands: []operandRule{{after: "key"}, {after: "enc"}}},
	{names: "wpa_cli nmcli"},
	{names: "expect", wrapper: true, shell: true},
	{names: "send", alone: true, operands: []operandRule{{}}},
}

var archives = []program{
	{names: "zip zipcloak", letters: "P", flags: "0123456789@$!ADcdeEfFghjJklLmopqrRSTuUvVwXyz"},
	{names: "unzip", letters: "P", flags: "^$:abBcCDfjKlLMnNopqstTuUvVWXzZ"},
	{names: "7z 7za 7zr 7zz", glued: "p"},
	{names: "rar unrar", glued: "p", flags: "h"},
	{names: "qpdf", doubles: "--encrypt"},
	{names: "ccrypt ccencrypt ccdecrypt mcrypt", letters: "Kk", flags: "bcdefFhLlmqrRTuvVxz"},
	{
		names: "openssl", long: "-k -K -pass -passin -passout -password -hmac -macopt -srppass -psk -passcerts",
		operands: []operandRule{{after: "passwd"}},
	},
	{names: "keytool jarsigner apksigner"},
	{names: "ssh-keygen", letters: "NP", flags: "ABceghHiklLpqQuUvy"},
	{names: "gpg gpg2 gpgsm gpgv", long: "--passphrase"},
	{names: "gpg-preset-passphrase", letters: "P"},
	{names: "cryptsetup"},
	{names: "pdftotext pdfinfo pdftoppm pdfimages", long: "-upw -opw"},
	{names: "keyctl", operands: []operandRule{{after: "add", kept: 2}, {after: "update", kept: 1}, {after: "padd", kept: 2}}},
	{names: "hdparm", long: "--security-unlock --security-disable --security-erase --security-erase-enhanced"},
	{names: "security", letters: "wpPk"},
}

var accounts = []program{
	{names: "usermod useradd adduser groupmod groupadd", letters: "p", flags: "aDhHlLmMNorSU"},
	{names: "htpasswd htpasswd2", operands: []operandRule{{kept: 2, option: "b"}}},
	{names: "htdigest"},
	{names: "ipa-client-install ipa-getkeytab ipa-join", letters: "w", flags: "fNqU"},
	{names: "ipa-server-install ipa-adtrust-install", letters: "ap", flags: "NqU"},
	{names: "ipa-replica-install ipa-ca-install ipa-kra-install", letters: "pw", flags: "NqU"},
	{names: "mosquitto_passwd", operands: []operandRule{{kept: 2, option: "b"}}}, //nolint:misspell // it is called that
	{names: "mkpasswd", operands: []operandRule{{}}},
	{names: "chpasswd newusers echo printf", operand: spoken, alone: true},
	{names: "ansible-vault", operands: []operandRule{{after: "encrypt_string"}}},
	{names: "ansible ansible-playbook", wrapper: true},
	{names: "knife", letters: "P"},
	{names: "ConvertTo-SecureString", operands: []operandRule{{}}},
}

var services = []program{
	{
		names: "docker podman buildah nerdctl skopeo helm oc crane oras ibmcloud az regctl", verb: "login", letters: "p",
	},
	{names: "ctr", verb: "pull push fetch fetch-object push-object", pairs: "u", longPairs: "--user"},
	{names: "supervisorctl", letters: "p"},
	{names: "twine", letters: "p"},
	{names: "cf", verb: "login", letters: "p", operands: []operandRule{{after: "auth", kept: 1}}},
	{names: "kubectl", longPairs: "--from-literal", separator: "="},
	{
		names: "vault bao",
		operands: []operandRule{
			{after: "login"},
			{after: "unseal"},
			{after: "unwrap"},
			{after: "token lookup"},
			{after: "token revoke"},
			{after: "token renew"},
			{after: "write", kept: 1, assigned: true},
			{after: "put", kept: 1, assigned: true},
			{after: "patch", kept: 1, assigned: true},
		},
	},
	{names: "mc", operands: []operandRule{{after: "alias set", kept: 2}, {after: "host add", kept: 2}}},
	{names: "rclone", operands: []operandRule{{after: "obscure"}}},
	{names: "cargo", operands: []operandRule{{after: "login"}}},
	{
		names: "pulumi", switches: "--secret", plain: "-C -s -t --cwd --config-file --stack --type",
		operands: []operandRule{
			{after: "config set", kept: 1, option: "--secret"},
			{after: "config set-all", option: "--secret", assigned: true},
		},
	},
	{
		names: "netlify ntl", switches: "--secret", plain: "-s --context --filter --scope --site",
		operands: []operandRule{{after: "env:set", kept: 1, option: "--secret"}},
	},
	{
		names: "b2 b2v3 b2v4", plain: "--environment --realm",
		operands: []operandRule{{after: "authorize-account", kept: 1}, {after: "authorize_account", kept: 1}, {after: "account authorize", kept: 1}},
	},
	{names: "pro ua ubuntu-advantage", plain: "--attach-config --format", operands: []operandRule{{after: "attach"}}},
	{names: "snyk", operands: []operandRule{{after: "auth"}}},
	{names: "wandb", plain: "--host", operands: []operandRule{{after: "login"}}},
	{names: "swift", letters: "K"},
	{names: "k3s rke2", verb: "agent server token etcd-snapshot", letters: "t"},
	{names: "gitlab-runner gitlab-ci-multi-runner", verb: "register unregister verify run-single", letters: "rt"},
	{names: "bw", operands: []operandRule{{after: "unlock"}, {after: "login", kept: 1}}},
	{names: "fly flyctl heroku", operands: []operandRule{{after: "set", assigned: true}, {after: "config:set", assigned: true}}},
	{names: "gh", verb: "secret", letters: "b", long: "--body"},
	{names: "glab", verb: "login", letters: "t"},
	{names: "doctl", letters: "t"},
	{names: "consul nomad", long: "-token -secret"},
}

var wrappers = []program{
	{
		names: `alacritty busybox chroot chrt command daemonize dbus-run-session doas dumb-init entr env exec faketime firejail flatpak flock
			gnome-terminal gosu ionice konsole kitty ltrace nice nohup nsenter numactl parallel perf pkexec prlimit proxychains proxychains4
			run0 runuser screen script setarch setpriv setsid start-stop-daemon stdbuf strace su-exec sudo systemd-inhibit systemd-run
			taskset time timeout tini tmux torsocks unbuffer unshare urxvt valgrind watch xargs xfce4-terminal xterm xvfb-run`,
		wrapper: true,
	},
	{names: "sh ash bash dash fish ksh mksh zsh su", wrapper: true, shell: true},
	{names: "ssh autossh mosh", wrapper: true},
}

// others are programs whose -p and the like are no secrets, and what they call a key is none.
var others = []program{
	{names: "find", commands: "-exec -execdir -ok -okdir"},
	{names: "fd fdfind", commands: "-x -X --exec --exec-batch", alone: true},
	{names: "auditctl ausearch aureport sort jq yq apt-key semanage", keys: true},
	{names: `cp mkdir install tar rsync scp sftp ps pkill pgrep pidof kill top htop lsof fuser ffmpeg ffprobe gcc g++ cc clang
		java perl python python3 ruby node nc ncat netcat nmap ss netstat iptables ip6tables nft patch make renice gdb less lsblk
		sed awk grep modprobe journalctl systemctl nginx apache2 httpd lpr lp vim vi tcpdump ping traceroute dig`},
}

// slashOption hides the value of /p:SECRET.
func slashOption(f *finder, w text) {
	for _, prefix := range []string{"/p:", "/gp:", "/pth:"} {
		if strings.HasPrefix(w.value, prefix) {
			f.hide(w, len(prefix), len(w.value))
		}
	}
}
