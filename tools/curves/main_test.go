// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
)

const sample = `Before it, another table:

| a | b |
|---|---|

| what grows | | source | reached | CPU % of a processor | MB resident | signals told |
|---|--:|---|--:|--:|--:|--:|
| signals sent, a second | 1 | ebpf | 1 | 0.00 | 50.1 | 100.0% |
| signals sent, a second | 100000 | ebpf | 98001 | 131.50 | 61.0 | 100.0% |
| signals sent, a second | 1 | netlink, unicast | 1 | 0.20 | 49.0 | 100.0% |

| after | it |
`

func TestRead(t *testing.T) {
	t.Parallel()
	panels, err := read(strings.NewReader(sample))
	if err != nil {
		t.Fatal(err)
	}
	if len(panels) != 1 || len(panels[0].curves) != 2 || panels[0].curves[0].cpu[1].Y != 131.5 || panels[0].curves[0].cpu[1].X != 98001 {
		t.Fatalf("%+v", panels)
	}
	var out bytes.Buffer
	if err := paint(panels, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<svg", "signals sent, a second", "netlink, unicast", "resident memory, MB"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in the picture", want)
		}
	}
}

func TestReadErrors(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no table": "hello", "no rows": heading + "|\n|---|\n", "no number": strings.Replace(sample, "98001", "many", 1),
		"too few columns": heading + "|\n| a | b |\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := read(strings.NewReader(text)); err == nil {
				t.Error("no error")
			}
		})
	}
}
