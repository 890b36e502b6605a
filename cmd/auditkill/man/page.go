// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

// page returns the manual page of a command. It changes the command's texts.
func page(cmd *cobra.Command, version string) ([]byte, error) {
	prepare(cmd)
	var text bytes.Buffer
	header := doc.GenManHeader{
		// The date of the build would make every build different: finish removes it.
		Date:   &time.Time{},
		Source: cmd.Root().Name() + " " + version,
		Manual: "User Commands",
	}
	if err := doc.GenMan(cmd, &header, &text); err != nil {
		return nil, err
	}
	return []byte(finish(text.String())), nil
}

// prepare turns the texts into Markdown, which cobra expects. Otherwise they would lose their
// line breaks and columns, and what is in angle brackets.
func prepare(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true
	cmd.InitDefaultVersionFlag()
	cmd.Short = escape(cmd.Short)
	cmd.Long = description(cmd.Long)
	if cmd.HasAvailableSubCommands() {
		cmd.Use += " COMMAND"
		cmd.Long += commands(cmd)
	}
	cmd.Example = examples(cmd.Example)
	cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) { f.Usage = escape(f.Usage) })
}

var special = regexp.MustCompile("[\\\\`*_\\[\\]<>&]|^[-+#:]")

func escape(text string) string { return special.ReplaceAllString(text, `\$0`) }

// description returns the Markdown of a command's long text. The paragraph with the exit codes
// becomes a section of its own, as in other manual pages.
func description(text string) string {
	var body, status strings.Builder
	for part := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if strings.HasPrefix(part, "Exit codes") {
			status.WriteString("# EXIT STATUS\n" + paragraph(strings.TrimPrefix(part, "Exit codes: ")) + "\n\n")
		} else {
			body.WriteString(paragraph(part) + "\n\n")
		}
	}
	return body.String() + status.String()
}

// commands returns the Markdown of the section about the subcommands.
func commands(cmd *cobra.Command) string {
	var section strings.Builder
	section.WriteString("# COMMANDS\n")
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() {
			section.WriteString(explanation(c.CommandPath(), c.Short))
		}
	}
	return section.String()
}

func explanation(what, meaning string) string {
	return "**" + escape(what) + "**\n: " + escape(meaning) + "\n\n"
}

// explained matches a line with a word or a command in one column and its meaning in another.
var explained = regexp.MustCompile(`(?m)^(?: {2})?(\S.*?) {2,}(\S.*)$`)

// paragraph returns the Markdown of the text between two empty lines. Indented text becomes a
// list of words with their meanings, or stays as it is; other text is filled.
func paragraph(text string) string {
	if !strings.HasPrefix(text, "  ") {
		return escape(strings.Join(strings.Fields(text), " "))
	}
	var list strings.Builder
	for line := range strings.SplitSeq(text, "\n") {
		words := explained.FindStringSubmatch(line)
		if words == nil {
			return "```\n" + strings.ReplaceAll(text[2:], "\n  ", "\n") + "\n```"
		}
		list.WriteString(explanation(words[1], words[2]))
	}
	return list.String()
}

// examples puts the meaning of a command above it: both in one line are too wide for a page.
func examples(text string) string {
	var page strings.Builder
	for line := range strings.Lines(text) {
		page.WriteString(explained.ReplaceAllString(strings.TrimPrefix(line, "  "), "# $2\n$1"))
	}
	return page.String()
}

var (
	head        = regexp.MustCompile(`^\.nh\n(\.TH .*) "Jan 0001" (.*\n)`)
	option      = regexp.MustCompile(`(?m)^(?:\.PP\n)?(\\fB-.*)\n\t`)
	withoutWord = regexp.MustCompile(`(?m)^(\\fB-.*)(?:\[=.*\])$`)
	noDefault   = regexp.MustCompile(`(?m)^(\\fB-.*=)(?:""|\[\]|0s)$`)
)

// finish sets options as in man-pages(7), breaks no word or path at the end of a line (.nh before
// .TH would have no effect), and escapes hyphens, so that commands can be searched for and
// copied.
func finish(page string) string {
	page = head.ReplaceAllString(page, "$1 \"\" $2.nh\n.ad l\n")
	page = strings.Replace(page, "\n.SH EXAMPLE\n", "\n.SH EXAMPLES\n", 1)
	page = option.ReplaceAllString(page, ".TP\n$1\n")
	page = withoutWord.ReplaceAllString(page, "$1")
	page = noDefault.ReplaceAllString(page, "$1")
	return strings.NewReplacer(`\-`, `\-`, "-", `\-`).Replace(page)
}
