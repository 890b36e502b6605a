// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package managercall

import (
	"bytes"
	"html"
	"net/url"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// collections are what the calls to Docker and Podman are about, and what their names have at their end.
var collections = map[string]string{"containers": "Container", "pods": "Pod"}

// verbs are what may be done to one of them.
var verbs = map[string]string{"stop": "Stop", "kill": "Kill", "restart": "Restart"}

// request returns the call of a request to Docker or Podman (https://docs.docker.com/reference/api/engine/).
func request(sent []byte) *attribution.Call {
	line, _, _ := bytes.Cut(sent, []byte("\r\n"))
	words := strings.Fields(string(line))
	if len(words) < 2 {
		return nil
	}
	target, err := url.ParseRequestURI(words[1])
	if err != nil {
		return nil
	}
	parts := strings.Split(strings.Trim(target.Path, "/"), "/")
	if version := parts[0]; len(version) > 1 && version[0] == 'v' && version[1] <= '9' {
		parts = parts[1:]
	}
	if len(parts) > 0 && parts[0] == "libpod" {
		parts = parts[1:]
	}
	if len(parts) < 2 || collections[parts[0]] == "" || parts[1] == "" {
		return nil
	}
	verb := "Remove"
	if words[0] == "POST" && len(parts) == 3 {
		verb = verbs[parts[2]]
	} else if words[0] != "DELETE" || len(parts) != 2 {
		return nil
	}
	if verb == "" {
		return nil
	}
	return &attribution.Call{
		Member: verb + collections[parts[0]], Object: parts[1], Signal: queried(target.Query()),
	}
}

func queried(query url.Values) kill.Signal {
	if name := query.Get("signal"); name != "" {
		return signalNamed(name)
	}
	return 0
}

// procedures are the calls to supervisord, and how many of their arguments name the object
// (http://supervisord.org/api.html).
var procedures = map[string]int{
	"supervisor.stopProcess": 1, "supervisor.stopProcessGroup": 1, "supervisor.stopAllProcesses": 0,
	"supervisor.signalProcess": 1, "supervisor.signalProcessGroup": 1, "supervisor.signalAllProcesses": 0,
	"supervisor.startProcess": 1, "supervisor.startProcessGroup": 1, "supervisor.startAllProcesses": 0,
	"supervisor.restart": 0, "supervisor.shutdown": 0, "supervisor.removeProcessGroup": 1,
}

// procedure returns the call of a message of XML-RPC to supervisord.
func procedure(sent []byte) *attribution.Call {
	method, rest := element(sent, "methodName")
	named, known := procedures[method]
	if !known {
		return nil
	}
	c := &attribution.Call{Member: method}
	if named > 0 {
		c.Object, rest = element(rest, "string")
		if c.Object == "" {
			return nil
		}
	}
	if strings.HasPrefix(method, "supervisor.signal") {
		name, _ := element(rest, "string")
		c.Signal = signalNamed(name)
	}
	return c
}

// element returns the text of the first element of a name, and what follows it.
func element(in []byte, name string) (text string, rest []byte) {
	_, after, _ := bytes.Cut(in, []byte("<"+name+">"))
	inner, rest, whole := bytes.Cut(after, []byte("</"+name+">"))
	if !whole {
		return "", nil
	}
	return html.UnescapeString(string(inner)), rest
}
