// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package managercall

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/attribution"
)

// varlinkTo are the interfaces of Varlink, and what the names of the same methods of D-Bus have at their end.
var varlinkTo = map[string]string{"io.systemd.Unit": "Unit", "io.systemd.Manager": ""}

// varlink returns the call of a message of Varlink (https://varlink.org/Method-Call).
func varlink(message []byte) *attribution.Call {
	texts, numbers := values(message)
	method := texts["method"]
	at := strings.LastIndexByte(method, '.')
	if at < 0 {
		return nil
	}
	of, known := varlinkTo[method[:at]]
	if !known {
		return nil
	}
	m := Method{Interface: systemd + ".Manager", Member: method[at+1:]}
	if !strings.HasSuffix(m.Member, of) {
		m.Member += of
	}
	parts, known := managers[systemd][m.Member]
	if !known {
		return nil
	}
	m.Arguments = make([]any, mostArguments)
	for _, name := range []string{"id", "unit", "name"} {
		if text := texts["parameters."+name]; text != "" && parts.object >= 0 {
			m.Arguments[parts.object] = text
		}
	}
	if parts.signal >= 0 {
		m.Arguments[parts.signal] = numbers["parameters.signal"]
	}
	return m.Call()
}

// values returns the texts and numbers of an object and of those in it, by their names. It may be cut.
func values(message []byte) (texts map[string]string, numbers map[string]int64) {
	texts, numbers = map[string]string{}, map[string]int64{}
	decoder := json.NewDecoder(bytes.NewReader(message))
	decoder.UseNumber()
	// path holds the name of each value that is open; a list has none.
	var path []string
	named := false
	for {
		token, err := decoder.Token()
		if err != nil {
			return texts, numbers
		}
		switch v := token.(type) {
		case json.Delim:
			switch v {
			case '{', '[':
				path = append(path, "")
			default:
				path = path[:len(path)-1]
			}
			named = false
			continue
		case string:
			if !named && len(path) > 0 {
				path[len(path)-1], named = v, true
				continue
			}
			texts[strings.Join(path, ".")] = v
		case json.Number:
			numbers[strings.Join(path, ".")], _ = v.Int64()
		}
		named = false
	}
}
