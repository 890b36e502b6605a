// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/machine"
)

const (
	// maxUsers bounds the table; passwd files are rarely longer.
	maxUsers = 1 << 16
	// maxPasswdLine is the longest line worth reading.
	maxPasswdLine = 4096
	// passwdInterval is how long a change of the file may go unnoticed.
	passwdInterval = time.Second
)

// Users maps user ids to names according to a passwd(5) file.
//
// It exists beside os/user because that reads the whole file for each question, or with cgo asks
// NSS, where a directory server that is down blocks for minutes. Users only reads the file: a user
// that is not in it has no name. moby/sys/user reads an unreadable id as 0, so that a damaged line
// could give root another name; it also takes comments for users, and reads files of any length.
type Users struct {
	path string
	// host is the name of the host that these users belong to.
	host string
	now  func() time.Time

	names    map[uint32]string
	checked  time.Time
	modified time.Time
	size     int64
}

// NewUsers returns a table that reads the file when it is first needed, and again when the file has
// changed. host is the name of the host that these users belong to; if it is empty, every named
// host counts as another one. It is not safe for concurrent use.
func NewUsers(path, host string) *Users {
	return &Users{path: path, host: host, now: time.Now}
}

// Fill names the users of an event that have no name yet. It skips events that another host wrote,
// where the same ids may belong to other people, and processes with users of their own. An audit record
// does not say whose the users are: if nobody knows better, they are taken for the host's.
func (u *Users) Fill(e *kill.Event) {
	if e.Audit.Node != "" && !machine.Same(e.Audit.Node, u.host) {
		return
	}
	u.check()
	u.nameAll(&e.Sender, e.Audit.Recorded)
	for i := range e.Targets {
		t := &e.Targets[i]
		u.name(&t.User, t.Home.Users, e.Audit.Recorded)
	}
}

// NameProcess names the users of a process that is in no event yet, such as one that has asked a manager for
// something. It is called before anybody shares the process. recorded says that an audit record of this host
// tells of it, as in Fill.
func (u *Users) NameProcess(p *kill.Process, recorded bool) {
	u.check()
	u.nameAll(p, recorded)
}

func (u *Users) nameAll(p *kill.Process, recorded bool) {
	for _, user := range []*kill.User{&p.User, &p.RealUser, &p.SavedUser, &p.Login} {
		u.name(user, p.Home.Users, recorded)
	}
}

// name names one user. auditd may have done so before, by the host's database.
func (u *Users) name(user *kill.User, whose kill.Whose, recorded bool) {
	here := whose == kill.WhoseHost || whose == kill.WhoseUnknown && recorded
	switch {
	case whose == kill.WhoseOther:
		user.Name = ""
	case here && user.ID.Known && user.Name == "":
		user.Name = u.names[user.ID.Value]
	}
}

// Name returns the name of a user id; empty if it has none.
func (u *Users) Name(id uint32) string {
	u.check()
	return u.names[id]
}

// check checks now and then whether the file has changed.
func (u *Users) check() {
	if now := u.now(); now.Sub(u.checked) >= passwdInterval || u.checked.IsZero() {
		u.checked = now
		u.refresh()
	}
}

// refresh reads the file if it has changed. If it cannot be read, the old names are better than none.
func (u *Users) refresh() {
	info, err := os.Stat(u.path)
	if err != nil || !info.Mode().IsRegular() ||
		u.names != nil && info.ModTime().Equal(u.modified) && info.Size() == u.size {
		return
	}
	file, err := os.Open(u.path)
	if err != nil {
		return
	}
	defer file.Close()
	if names, err := readPasswd(file); err == nil {
		u.names, u.modified, u.size = names, info.ModTime(), info.Size()
	}
}

// readPasswd parses name:password:uid:... lines. The first name of an id counts.
func readPasswd(r io.Reader) (map[uint32]string, error) {
	names := make(map[uint32]string)
	scanner := bufio.NewScanner(r)
	scanner.Buffer(make([]byte, 0, maxPasswdLine), maxPasswdLine)
	for scanner.Scan() && len(names) < maxUsers {
		id, name, ok := parsePasswdLine(scanner.Text())
		if _, taken := names[id]; ok && !taken {
			names[id] = name
		}
	}
	return names, scanner.Err()
}

func parsePasswdLine(line string) (id uint32, name string, ok bool) {
	fields := strings.SplitN(line, ":", 4)
	if len(fields) < 4 || fields[0] == "" || fields[0][0] == '#' {
		return 0, "", false
	}
	number, err := strconv.ParseUint(fields[2], 10, 32)
	return uint32(number), fields[0], err == nil
}
