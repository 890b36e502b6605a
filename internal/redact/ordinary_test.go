// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// ordinary are command lines without a secret.
var ordinary = []string{
	"kill|-9|3936",
	"/bin/kill|-s|TERM|1|2",
	"pkill|-P|12|-u|root|mysqld",
	"killall|-u|bob|nginx",
	"ps|-p|1|-o|pid,args",
	"ps|-p3936|-opid",
	"systemctl|restart|mariadb",
	"systemctl|kill|-s|SIGKILL|getty@tty1.service",
	"service|mysql|stop",
	"/usr/sbin/mysqld|--defaults-file=/etc/mysql/my.cnf|--port=3306",
	"mysqld_safe|--datadir=/var/lib/mysql|--user=mysql",
	"mysql|-u|root|-p|shop",
	"mysql|-h|db|-P|3306|-e|SELECT 1",
	"java|-Xmx2g|-Dfoo.bar=baz|-jar|app.jar",
	"java|-cp|/opt/a.jar:/opt/b.jar|-Dlog4j.configurationFile=/etc/l.xml|org.x.Main",
	"nginx|-g|daemon off;",
	"nginx: master process /usr/sbin/nginx -c /etc/nginx/nginx.conf",
	"nginx: worker process",
	"postgres: writer process",
	"postgres: walwriter",
	"postgres: bob shop 10.0.0.1(5432) idle in transaction",
	"/usr/lib/postgresql/15/bin/postgres|-D|/var/lib/postgresql/15/main|-p|5432",
	"psql|-h|db|-p|5432|-U|bob|shop",
	"pg_dump|-Fc|-p|5432|shop",
	"ssh|-p|22|host",
	"ssh|-p2222|-i|/home/bob/.ssh/id_ed25519|bob@host",
	"ssh|-o|PasswordAuthentication=no|-o|StrictHostKeyChecking=no|h|uptime",
	"ssh|h|systemctl stop mariadb && pkill -9 mysqld",
	"sshd: bob [priv]",
	"sshd: /usr/sbin/sshd -D [listener] 0 of 10-100 startups",
	"ssh-agent|-D|-a|/run/user/1000/keyring/ssh",
	"scp|-P|22|-p|/f|bob@h:/g",
	"rsync|-avzP|--delete|/srv/a/|bob@h:/srv/a/",
	"rsync|-e|ssh -p 22|--password-file=/etc/rsync.pw|a|b",
	"docker|run|-p|80:80|-v|/etc/keys:/keys|--name|web|nginx:1.25",
	"docker|run|-p80:80|--name|mongo|-p|27017:27017|mongo:7",
	"docker|pull|nginx:1.25@sha256:0123456789abcdef",
	"docker|kill|-s|TERM|web",
	"podman|run|--rm|-it|alpine|sh",
	"containerd-shim-runc-v2|-namespace|k8s.io|-id|0123abcd|-address|/run/containerd/containerd.sock",
	"kubectl|get|secret|db|-o|yaml",
	"kubectl|delete|pod|web-0|--grace-period=0",
	"kubectl|logs|-p|web-0",
	"mkdir|-p|/x/y",
	"cp|-pr|/a|/b",
	"tar|-xpzf|a.tgz|-C|/x",
	"install|-m|0644|-p|a|b",
	"find|/x|-name|*.log|-print0",
	"find|/x|-perm|-4000|-printf|%p\n",
	"ffmpeg|-i|a.mp4|-preset|fast|-pix_fmt|yuv420p|-pass|1|b.mp4",
	"python3|manage.py|runserver|0.0.0.0:8000",
	"python3|-m|http.server|8080",
	"python3|-c|print('hello: world')",
	"/usr/bin/keyring|start",
	"monkeypatch|--all",
	"setxkbmap|--keyboard|us",
	"ftp|--passive|h",
	"tool|--compass|x|--bypass|y",
	"gnome-keyring-daemon|--start|--components=secrets",
	"agetty|-o|-p -- \\u|--noclear|tty1|linux",
	"/usr/lib/systemd/systemd|--switched-root|--system|--deserialize|31",
	"dbus-daemon|--system|--address=systemd:|--nofork|--nopidfile",
	"Xorg|:0|-auth|/var/run/lightdm/root/:0|vt7",
	"curl|-fsSL|https://example.com:8443/install.sh?version=2",
	"curl|-X|POST|-H|Content-Type: application/json|-d|{\"user\":\"bob\"}|http://h/x",
	"curl|-o|/dev/null|-w|%{http_code}|http://localhost:3000/node_modules/@babel/core",
	"wget|-qO-|https://bob@example.com/x",
	"git|clone|git@github.com:o/r.git",
	"git|-c|core.pager=less|log|-p|--author=bob",
	"npm|install|foo@1.2.3",
	"node|/srv/app/server.js|--port=3000",
	"redis-server 127.0.0.1:6379",
	"redis-cli|-h|h|-p|6379|SHUTDOWN|NOSAVE",
	"mongod|--config|/etc/mongod.conf|--keyFile|/etc/mongo.key",
	"gunicorn: worker [app]",
	"php-fpm: pool www",
	"celery|-A|app|worker|--concurrency=4",
	"sh|-c|sleep 10; kill -9 $(cat /run/x.pid)",
	"bash|-c|for i in 1 2 3; do echo $i > /tmp/f; done",
	"sudo|-u|postgres|pg_ctl|stop|-m|fast",
	"sudo|passwd|bob",
	"timeout|-s|KILL|10|make|-j4|test",
	"strace|-f|-p|3936",
	"gdb|-p|3936|-batch",
	"lsof|-p|3936|-i|:80",
	"nc|-l|-p|8080",
	"nmap|-p|22-80|10.0.0.0/24",
	"iptables|-A|INPUT|-p|tcp|--dport|22|-j|DROP",
	"auditctl|-a|exit,always|-F|arch=b64|-S|kill|-k|audit_kill",
	"auditctl|-d|exit,always|-F|arch=b64|-S|kill|-F|key=audit_kill",
	"sort|-t|:|-k|2|--key=3,3|/etc/passwd",
	"grep|-r|password|/etc",
	"vim|/etc/passwd",
	"apt-get|install|-y|password-store",
	"cryptsetup|luksOpen|--key-file|/k|/dev/sda1|x",
	"openssl|req|-new|-key|server.pem|-out|r.csr",
	"openssl|x509|-in|/etc/ssl/cert.pem|-noout|-subject",
	"gpg|--keyserver|hkps://keys.openpgp.org|--recv-keys|0123ABCD",
	"zip|-r|x.zip|f",
	"zip|-r|P|x",
	"zip|-rq|x.zip|P",
	"find|.|-name|x",
	"find|.|-name|zip|-print|-path|./p",
	"find|/x|-type|f|-exec|chmod|0644|{}|;|-print",
	"find|/x|-exec|grep|-l|x|{}|+",
	"gcloud|secrets|list",
	"gh|secret|list",
	"etcdctl|user|list",
	"etcdctl|user|add|bob",
	"virsh|shutdown|dom",
	"ipmitool|-v|user|list|1",
	"iscsiadm|-m|node|-o|update|-n|node.startup|-v|automatic",
	"redis-server|--port|6379|--masteruser|ann",
	"ldapsearch|-xLLL|-b|dc=x|uid=bob",
	"sshpass|-V",
	"ctr|images|pull|docker.io/library/nginx:1.25",
	"xterm|-e|top",
	"mongosh|--eval|db.stats(1)",
	"mysql|-NBe|SHOW GRANTS FOR bob",
	"aws|ssm|put-parameter|--name|/app/color|--value|blue",
	"sh|-c|echo x > /f; gcloud run deploy web --source=.",
	"unzip|-o|x.zip|-d|/x",
	"perl|-pe|s/a/b/|f",
	"patch|-p1|-i|a.diff",
	"taskset|-p|1|3936",
	"renice|-n|5|-p|3936",
	"vllm|serve|m|--max-tokens|4096|--tokenizer=x",
	"ansible-playbook|-i|hosts|--ask-become-pass|site.yml",
	"docker|login|--password-stdin|registry.example.com",
	"otelcol-auditkill|--config=/etc/otelcol/config.yaml",
	"auditkill|report|--target|mysqld|--command-line|full",
	"supervisord|-n|-c|/etc/supervisor/supervisord.conf",
	"haproxy|-sf|3936|-f|/etc/haproxy/haproxy.cfg|-p|/run/haproxy.pid",
	"chrome|--type=renderer|--field-trial-handle=1,2|--lang=en-US",
	"qemu-system-x86_64|-m|1024|-drive|file=/x.img,format=qcow2",
	"systemd-run|-p|PrivateTmp=yes|-p|MemoryMax=1G|sleep|1",
	"docker|run|--user|1000:1000|--rm|x",
	"tool|--user=www-data:www-data|--login|ann",
	"expr|1 + 1",
	"crond|-n",
	"echo|hello",
	"[kworker/0:1-events]",
	"",
}

func TestOrdinary(t *testing.T) {
	t.Parallel()
	for _, line := range ordinary {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			title := strings.ReplaceAll(line, "|", "\x00")
			assert.Equal(t, title, conceal(title))
			assert.Equal(t, title+"\x00", conceal(title+"\x00"))
			spaced := strings.ReplaceAll(line, "|", " ")
			assert.Equal(t, spaced, conceal(spaced), "as a process writes its title")
		})
	}
}

func BenchmarkOrdinary(b *testing.B) {
	for _, name := range []string{"kill|-9|3936", "/usr/sbin/mysqld|--defaults-file=/etc/mysql/my.cnf|--port=3306", "java|-Xmx2g|-Dfoo.bar=baz|-jar|app.jar"} {
		title := strings.ReplaceAll(name, "|", "\x00")
		b.Run(name[:4], func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				conceal(title)
			}
		})
	}
	b.Run("all", func(b *testing.B) {
		b.ReportAllocs()
		titles := make([]string, len(ordinary))
		for i := range ordinary {
			titles[i] = strings.ReplaceAll(ordinary[i], "|", "\x00")
		}
		for i := 0; b.Loop(); i++ {
			conceal(titles[i%len(titles)])
		}
	})
}
