// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/wording"

	"golang.org/x/sys/unix"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/terminal"
	"github.com/auditkill/auditkillreceiver/internal/auditrules"
	"github.com/auditkill/auditkillreceiver/internal/kill"
	"github.com/auditkill/auditkillreceiver/internal/privilege"
	"github.com/auditkill/auditkillreceiver/internal/visible"
)

// The states of a needed rule.
const (
	stateRecorded = "recorded"
	statePartly   = "partly"
	stateMissing  = "missing"
	stateShadowed = "shadowed"
)

// locked is the value of enabled after auditctl -e 2.
const locked = 2

// checkedRules is what --check --output json prints. The help of the command documents its
// fields.
type checkedRules struct {
	Recorded bool             `json:"recorded"`
	Enabled  uint32           `json:"enabled"`
	Rules    []checkedRule    `json:"rules"`
	Problems []checkedProblem `json:"problems"`
}

type checkedRule struct {
	Rule    string   `json:"rule"`
	State   string   `json:"state"`
	By      []string `json:"by"`
	Unseen  []string `json:"unseen"`
	Shadows []string `json:"shadows"`
	Mend    []string `json:"mend"`
	// loaded is true if the rule itself is loaded.
	loaded bool
}

type checkedProblem struct {
	What  string   `json:"what"`
	Mend  string   `json:"mend"`
	Lines []string `json:"lines"`
}

// checkRules compares the loaded rules with the needed ones.
func checkRules(w io.Writer, signals []kill.Signal, key, output string) error {
	return checkWith(w, auditrules.Settings{Signals: signals, Key: key}, output)
}

func checkWith(w io.Writer, settings auditrules.Settings, output string) error {
	found, err := auditrules.Check(settings)
	if err != nil {
		return notAsked(err)
	}
	checked := judgeRules(found)
	if output == outputJSON {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false) // rules have comparisons in them
		encoder.SetIndent("", "  ")
		err = encoder.Encode(checked)
	} else {
		_, err = io.WriteString(w, checked.table(terminal.Of(w)))
	}
	if err == nil && !checked.Recorded {
		err = exitError(exitNothing)
	}
	return err
}

// notAsked says why the kernel did not answer, and what fixes that.
func notAsked(err error) error {
	switch {
	case errors.Is(err, unix.EPERM) && privilege.OtherPIDNamespace():
		return fmt.Errorf("--check: %w: the kernel lists its rules only in the initial pid namespace; run it on the host itself, "+
			"or with Docker --pid=host, in Kubernetes hostPID: true", err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("--check: %w: it needs CAP_AUDIT_CONTROL; run it as root: sudo auditkill rules --check "+
			"(without --check, any user can print the rules)", err)
	case errors.Is(err, unix.ECONNREFUSED) && privilege.OtherUserNamespace():
		return fmt.Errorf("--check: %w: the kernel lists its rules only in the initial user namespace; "+
			"run it as root of the host", err)
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.EPROTONOSUPPORT):
		return fmt.Errorf("--check: %w: the kernel has no audit system (CONFIG_AUDIT), or it was turned off at boot: "+
			"remove audit=0 from the kernel's command line and reboot", err)
	}
	return fmt.Errorf("--check: %w", err)
}

func judgeRules(found *auditrules.Inspection) checkedRules {
	checked := checkedRules{Recorded: found.Recorded(), Enabled: found.Status.Enabled, Problems: []checkedProblem{}}
	for _, n := range found.Needed {
		r := checkedRule{
			Rule: n.String(), State: stateOf(n), loaded: n.Loaded,
			By: list(n.By), Unseen: list(n.Unseen), Shadows: list(n.Shadows), Mend: []string{},
		}
		// A locked configuration, or a rule that comes first, is reported once for all rules.
		if len(n.Unseen) > 0 && !n.Loaded && found.Status.Enabled != locked {
			r.Mend = append(r.Mend, n.Command())
		}
		checked.Rules = append(checked.Rules, r)
	}
	for _, p := range found.Problems() {
		checked.Problems = append(checked.Problems, checkedProblem{What: p.What, Mend: p.Remedy(wording.Words{}), Lines: list(p.Lines)})
	}
	return checked
}

func stateOf(n auditrules.Needed) string {
	switch {
	case n.Recorded():
		return stateRecorded
	case len(n.Shadows) > 0:
		return stateShadowed
	case len(n.By) == 0:
		return stateMissing
	}
	return statePartly
}

// list returns an empty list for nil, so that JSON has a list.
func list(texts []string) []string {
	if texts == nil {
		return []string{}
	}
	return texts
}

// table returns the same for people.
func (c checkedRules) table(t terminal.Terminal) string {
	var text strings.Builder
	styles := map[string]terminal.Style{
		stateRecorded: terminal.Green, statePartly: terminal.Yellow, stateMissing: terminal.Red, stateShadowed: terminal.Red,
	}
	recorded := 0
	for _, r := range c.Rules {
		fmt.Fprintf(&text, "%s  %s\n", t.Paint(styles[r.State], fmt.Sprintf("%-8s", r.State)), r.Rule)
		if r.State == stateRecorded {
			recorded++
		}
		if !r.loaded {
			writeLines(&text, "            by ", r.By)
		}
		if r.State != stateMissing { // otherwise everything is unseen
			writeLines(&text, "            unseen: ", r.Unseen)
		}
		writeLines(&text, "            suppressed by ", r.Shadows)
		writeLines(&text, "    ", r.Mend)
	}
	for _, p := range c.Problems {
		fmt.Fprintf(&text, "\n%s; %s\n", visible.Message(p.What), p.Mend)
		writeLines(&text, "    ", p.Lines)
	}
	summary := "everything is recorded"
	if !c.Recorded {
		summary = "not everything is recorded"
	}
	fmt.Fprintf(&text, "\n%d of %d needed rules are in effect: %s\n", recorded, len(c.Rules), summary)
	return text.String()
}

func writeLines(text *strings.Builder, prefix string, lines []string) {
	for _, line := range lines {
		fmt.Fprintf(text, "%s%s\n", prefix, visible.Message(line))
	}
}
