// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package kernellog

import (
	"strconv"
	"strings"

	"github.com/auditkill/auditkillreceiver/internal/kill"
)

// maxSplits is how many ways to read a message are tried. A path without tricks has one.
const maxSplits = 64

// summary is "oom-kill:constraint=..." (since 5.0; mm/oom_kill.c, dump_oom_victim). Its text is kept until the victim
// is known: only then is it known where the names in it end.
type summary struct {
	text       string
	constraint kill.OOMConstraint
}

func summarize(text string) (s summary, ok bool) {
	rest, ok := strings.CutPrefix(text, "oom-kill:constraint=")
	if !ok {
		return s, false
	}
	name, rest, ok := strings.Cut(rest, ",")
	s.constraint, s.text = constraint(name), rest
	return s, ok && s.constraint != ""
}

// about reports whether the summary is about a victim. A very long one is cut, and does not tell.
func (s summary) about(v *victim) (about, told bool) {
	rest, uid, ok := cutLast(s.text, ",uid=")
	if _, err := strconv.ParseUint(uid, 10, 32); !ok || err != nil {
		return false, false
	}
	return strings.HasSuffix(rest, ",pid="+strconv.Itoa(v.pid)), true
}

// cgroup returns the group at its limit, if the summary can be read in one way only. The name of the cpuset before
// it, the two paths and the victim's name may have anything in them.
func (s summary) cgroup(v *victim) (path string) {
	rest, _, _ := cutLast(s.text, ",uid=")
	rest, ok := strings.CutSuffix(rest, ",task="+v.name+",pid="+strconv.Itoa(v.pid))
	if !ok {
		return ""
	}
	const begin = ",oom_memcg="
	from := 0
	for range maxSplits {
		i := strings.Index(rest[from:], begin)
		if i < 0 {
			return path
		}
		from += i + len(begin)
		if !endsInNodes(rest[:from-len(begin)]) {
			continue
		}
		found, unique := splitPaths(rest[from:], ",task_memcg=", func(first, second string) (string, bool) {
			return first, below(second, first)
		})
		if !unique || found != "" && path != "" && path != found {
			return ""
		}
		path = max(path, found)
	}
	return ""
}

// endsInNodes reports whether a text ends in ",mems_allowed=0-1,3".
func endsInNodes(text string) bool {
	i := strings.LastIndex(text, ",mems_allowed=")
	return i >= 0 && strings.Trim(text[i+len(",mems_allowed="):], "0123456789,-") == ""
}

// statistics returns the path of "Memory cgroup stats for PATH:". Before 5.2 the figures follow in the same line.
func statistics(text string) (path string, ok bool) {
	rest, ok := strings.CutPrefix(text, "Memory cgroup stats for ")
	if !ok {
		return "", false
	}
	if path, ok = strings.CutSuffix(rest, ":"); ok {
		return path, isPath(path)
	}
	for from := 0; ; {
		i := strings.Index(rest[from:], ": cache:")
		if i < 0 {
			return "", false
		}
		if from += i + 1; areFigures(rest[from:]) {
			path = rest[:from-1]
			return path, isPath(path)
		}
	}
}

// areFigures reports whether a text is " cache:0KB rss:16KB ..." to its end.
func areFigures(text string) bool {
	for field := range strings.FieldsSeq(text) {
		name, value, ok := strings.Cut(field, ":")
		value, isSize := strings.CutSuffix(value, "KB")
		if _, err := strconv.ParseUint(value, 10, 64); !ok || !isSize || err != nil || name == "" {
			return false
		}
	}
	return true
}

// limited returns the group at its limit of "Task in A killed as a result of limit of B" (before 5.0).
func limited(text string) (path string, ok bool) {
	rest, ok := strings.CutPrefix(text, "Task in ")
	if !ok {
		return "", false
	}
	path, unique := splitPaths(rest, " killed as a result of limit of ", func(first, second string) (string, bool) {
		return second, below(first, second)
	})
	return path, unique && path != ""
}

// group reports whether a message announces that a whole group is killed (memory.oom.group).
func group(text string) (path string, ok bool) {
	rest, ok := strings.CutPrefix(text, "Tasks in ")
	if !ok {
		return "", false
	}
	path, ok = strings.CutSuffix(rest, " are going to be killed due to memory.oom.group set")
	return path, ok && isPath(path)
}

// splitPaths splits a text into two paths in each way there is. It returns what choose does for the ways that fit,
// if that is the same for all.
func splitPaths(text, between string, choose func(first, second string) (string, bool)) (path string, unique bool) {
	from := 0
	for range maxSplits {
		i := strings.Index(text[from:], between)
		if i < 0 {
			return path, true
		}
		first, second := text[:from+i], text[from+i+len(between):]
		from += i + 1
		chosen, fits := choose(first, second)
		if !fits || !isPath(chosen) {
			continue
		}
		if path != "" && path != chosen {
			return "", false
		}
		path = chosen
	}
	return "", false
}

// below reports whether a group is another one or within it, as a victim's is to the one at its limit.
func below(path, of string) bool {
	return path == of || of == "/" && isPath(path) || strings.HasPrefix(path, of+"/")
}

func isPath(path string) bool { return strings.HasPrefix(path, "/") }

func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return text, "", false
	}
	return text[:i], text[i+len(separator):], true
}
