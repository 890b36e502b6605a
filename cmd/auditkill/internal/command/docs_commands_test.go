// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/live"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/summary"
	"github.com/auditkill/auditkillreceiver/cmd/auditkill/internal/timeparse"
	"github.com/auditkill/auditkillreceiver/internal/redact"
)

// otherPrograms are those of the pages whose commands this test does not check, by the reason. A program that is in no list fails it.
var otherPrograms = map[string][]string{
	"the end-to-end tests start it with each configuration, and validate them": {"otelcol-auditkill", "otelcol-contrib", "otelcol-own"},
	"what it builds and runs is what CI builds and runs":                       {"make", "go", "builder", "git"},
	"it is of the host's system, which this test has not": {
		"apt", "augenrules", "auditctl", "aureport", "ausearch", "coredumpctl", "dmesg", "dpkg", "journalctl", "last", "man", "rpm", "setpriv", "systemctl",
	},
	"it needs a cluster, a registry, a backend or another host": {"curl", "docker", "kubectl", "promtool", "scp", "ssh", "vmalert"},
	"it only moves, shows or filters text and files": {
		"cp", "df", "echo", "export", "grep", "head", "install", "jq", "ls", "openssl", "sed", "sh", "tail", "tar", "tee",
	},
}

// shellBlocks matches the blocks of a page that a reader pastes into a shell.
var shellBlocks = regexp.MustCompile("(?s)\n *```(?:sh|bash)\n(.*?)\n *```\n")

// assignment matches a variable before a command.
var assignment = regexp.MustCompile(`^[A-Za-z_]\w*=`)

// shellCommands splits a block into commands, each into its words, as far as the pages use a shell: quotes, comments, lists and pipes.
func shellCommands(block string) (commands [][]string) {
	var words []string
	var word strings.Builder
	quote, begun := rune(0), false
	endWord := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	endCommand := func() {
		endWord()
		if len(words) > 0 {
			commands = append(commands, words)
		}
		words = nil
	}
	comment := false
	for _, r := range strings.ReplaceAll(block, "\\\n", " ") {
		switch {
		case comment && r != '\n':
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case r == '#' && !begun:
			comment = true
		case r == ' ' || r == '\t':
			endWord()
		case strings.ContainsRune("\n|&;", r):
			comment = false
			endCommand()
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	endCommand()
	return commands
}

// program takes away what stands before the program that a command runs: variables, and sudo and env with theirs.
func program(words []string) []string {
	for len(words) > 0 && (assignment.MatchString(words[0]) || words[0] == "sudo" || words[0] == "env") {
		words = words[1:]
	}
	if len(words) > 0 && (words[0] == "kubectl" || words[0] == "docker") { // which may run another one
		if at := slices.Index(words, "--"); at >= 0 && path.Base(words[at+1]) == "auditkill" {
			return words[at+1:]
		}
	}
	return words
}

// checkCommand returns an error if auditkill would refuse a command before it does anything.
func checkCommand(words []string) error {
	cmd, rest, err := Root().Find(words)
	if err != nil {
		return err
	}
	if err := cmd.ParseFlags(rest); err != nil {
		if errors.Is(err, pflag.ErrHelp) {
			return nil
		}
		return err
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		return err
	}
	if cmd.Flags().Lookup("by-user") != nil { // report and watch
		var f selectionFlags
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		f.register(flags, "")
		flags.ParseErrorsAllowlist.UnknownFlags = true
		if err := flags.Parse(rest); err != nil {
			return err
		}
		if _, err := f.config(); err != nil {
			return err
		}
	}
	return checkValues(cmd)
}

// checkValues returns an error if a flag has a value that it cannot have.
func checkValues(cmd *cobra.Command) (err error) {
	oneOf := func(known ...string) func(string) bool {
		return func(value string) bool { return slices.Contains(known, value) }
	}
	isTime := func(value string) bool {
		_, _, wrong := timeparse.Parse(value, time.Now())
		return wrong == nil
	}
	known := map[string]func(string) bool{
		"since": isTime, "until": isTime, "at": isTime,
		"by":           oneOf(summary.By()...),
		"format":       oneOf(formatAuditctl, "rules.d"),
		"output":       oneOf("table", "text", "json", "csv"),
		"source":       oneOf(live.Auto, "ebpf", "multicast", "unicast", "file"),
		"command-line": func(value string) bool { return redact.Policy(value).Known() },
	}
	cmd.Flags().Visit(func(flag *pflag.Flag) {
		if valid := known[flag.Name]; valid != nil && !valid(flag.Value.String()) {
			err = fmt.Errorf("--%s: %q", flag.Name, flag.Value)
		}
	})
	return err
}

// typed are the commands in the shell blocks of all pages, by page.
func typed(t *testing.T) map[string][][]string {
	t.Helper()
	all := make(map[string][][]string)
	for _, pattern := range []string{"README.md", "SECURITY.md", "docs/*.md", "docs/runbooks/*.md"} {
		pages, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		require.NotEmpty(t, pages, pattern)
		for _, page := range pages {
			text, err := os.ReadFile(page)
			require.NoError(t, err)
			for _, block := range shellBlocks.FindAllStringSubmatch(string(text), -1) {
				all[page] = append(all[page], shellCommands(block[1])...)
			}
		}
	}
	return all
}

// TestCommandsInDocumentation parses what the pages have to type, as auditkill itself does.
func TestCommandsInDocumentation(t *testing.T) {
	t.Parallel()
	others, ours := map[string]bool{}, 0
	for page, commands := range typed(t) {
		for _, command := range commands {
			words := program(command)
			switch {
			case len(words) == 0: // only variables
			case path.Base(words[0]) != "auditkill":
				others[path.Base(words[0])] = true
			case !strings.Contains(strings.Join(words, " "), "<TAB>"):
				ours++
				if err := checkCommand(words[1:]); err != nil {
					t.Errorf("%s: %v: %v", page, command, err)
				}
			}
		}
	}
	assert.Greater(t, ours, 20)
	var listed []string
	for _, programs := range otherPrograms {
		listed = append(listed, programs...)
	}
	assert.ElementsMatch(t, listed, slices.Collect(maps.Keys(others)), "what is not checked is listed with a reason")
}

// What is wrong in a page is found.
func TestWrongCommandsAreFound(t *testing.T) {
	t.Parallel()
	for name, command := range map[string]string{
		"a command":          "auditkill reprot",
		"a flag":             "auditkill report --tagret mysqld",
		"an argument":        "auditkill doctor now",
		"no argument":        "sudo auditkill why",
		"a signal":           "auditkill watch --signal KILLL",
		"a cause":            "auditkill report --cause oom,reboot",
		"a pid":              "auditkill report --pid mysqld",
		"a time":             `auditkill report --since "a fortnight ago"`,
		"a time of why":      "auditkill why mysqld --at soon",
		"a field":            "auditkill report --by program",
		"a duration":         "auditkill watch --for ten",
		"a source":           "auditkill watch --source netlink",
		"in a pipe":          "ausearch --raw | auditkill report --stdin -",
		"in a list":          "true && auditkill rules --load",
		"behind a variable":  "TZ=UTC sudo auditkill rules --format json",
		"over two lines":     "auditkill report \\\n  --targets mysqld",
		"in a container":     "kubectl exec daemonset/x -- auditkill doctor --root /host",
		"a word of the form": "auditkill report --output yaml",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var errs []error
			for _, command := range shellCommands(command + " # as it was") {
				if words := program(command); path.Base(words[0]) == "auditkill" {
					errs = append(errs, checkCommand(words[1:]))
				}
			}
			require.Len(t, errs, 1)
			assert.Error(t, errs[0])
		})
	}
}
