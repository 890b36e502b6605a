// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package auditrules

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"github.com/elastic/go-libaudit/v2/rule"
	"golang.org/x/sys/unix"
)

// wire returns the rule in the kernel's format.
func (r Rule) wire() (rule.WireFormat, error) {
	spec := &rule.SyscallRule{List: "exit", Action: "always", Syscalls: r.syscalls, Keys: []string{r.key}}
	if r.never {
		spec.Action = "never"
	}
	filter := func(field, operator, value string) {
		spec.Filters = append(spec.Filters,
			rule.FilterSpec{Type: rule.ValueFilterType, LHS: field, Comparator: operator, RHS: value})
	}
	if r.arch.name != "" {
		filter("arch", "=", r.arch.name)
	}
	for _, c := range r.comparisons {
		filter(c.field, c.operator, strconv.Itoa(c.value))
	}
	wire, err := rule.Build(spec)
	if err != nil {
		return nil, fmt.Errorf("audit rule %q: %w", r, err)
	}
	if r.never { // go-libaudit only appends
		list := binary.NativeEndian.Uint32(wire)
		binary.NativeEndian.PutUint32(wire, list|unix.AUDIT_FILTER_PREPEND)
	}
	return wire, nil
}

// header is the kernel's layout of a rule, without the texts at its end
// (include/uapi/linux/audit.h, struct audit_rule_data).
type header struct {
	List, Action, Count      uint32
	Syscalls                 [unix.AUDIT_BITMASK_SIZE]uint32
	Kinds, Values, Operators [unix.AUDIT_MAX_FIELDS]uint32
	TextLength               uint32
}

// loaded is a rule as the kernel lists it, in a form that can be compared and matched.
type loaded struct {
	wire         rule.WireFormat
	list, action uint32
	syscalls     [unix.AUDIT_BITMASK_SIZE]uint32
	// fields are sorted, because their order has no meaning.
	fields []field
}

// field is a condition; all conditions of a rule must hold.
type field struct {
	kind, operator, value uint32
	// text is the value of fields that hold text.
	text string
}

// decode parses a rule in the kernel's format.
func decode(wire rule.WireFormat) (loaded, error) {
	var h header
	read, err := binary.Decode(wire, binary.NativeEndian, &h)
	if err != nil {
		return loaded{}, fmt.Errorf("an audit rule of %d bytes: %w", len(wire), err)
	}
	texts := wire[read:]
	if uint64(h.TextLength) > uint64(len(texts)) || h.Count > unix.AUDIT_MAX_FIELDS {
		return loaded{}, fmt.Errorf("an audit rule of %d bytes that should have %d fields and %d bytes of text",
			len(wire), h.Count, h.TextLength)
	}
	l := loaded{wire: wire, list: h.List &^ unix.AUDIT_FILTER_PREPEND, action: h.Action, syscalls: h.Syscalls}
	// No call has such a high number; only some programs that load a rule for all calls
	// include them.
	l.syscalls[len(l.syscalls)-1] = 0
	for i := range h.Count {
		f := field{kind: h.Kinds[i], operator: h.Operators[i], value: h.Values[i]}
		if hasText(f.kind) {
			if uint64(f.value) > uint64(len(texts)) {
				return loaded{}, fmt.Errorf("an audit rule with a text of %d bytes, of which only %d are there", f.value, len(texts))
			}
			f.text, texts = string(texts[:f.value]), texts[f.value:]
		}
		l.fields = append(l.fields, f)
	}
	slices.SortFunc(l.fields, func(a, b field) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.operator, b.operator),
			cmp.Compare(a.value, b.value), cmp.Compare(a.text, b.text))
	})
	return l, nil
}

// hasText reports whether the value of a field is the length of a text
// (kernel/auditfilter.c, audit_data_to_entry).
func hasText(kind uint32) bool {
	switch kind {
	case unix.AUDIT_SUBJ_USER, unix.AUDIT_SUBJ_ROLE, unix.AUDIT_SUBJ_TYPE, unix.AUDIT_SUBJ_SEN, unix.AUDIT_SUBJ_CLR,
		unix.AUDIT_OBJ_USER, unix.AUDIT_OBJ_ROLE, unix.AUDIT_OBJ_TYPE, unix.AUDIT_OBJ_LEV_LOW, unix.AUDIT_OBJ_LEV_HIGH,
		unix.AUDIT_WATCH, unix.AUDIT_DIR, unix.AUDIT_EXE, unix.AUDIT_FILTERKEY:
		return true
	}
	return false
}

// equal reports whether two rules do the same.
func (l loaded) equal(other loaded) bool {
	return l.list == other.list && l.action == other.action && l.syscalls == other.syscalls &&
		slices.Equal(l.fields, other.fields)
}

// without returns the rule without one of its conditions.
func (l loaded) without(unwanted field) loaded {
	l.fields = slices.DeleteFunc(slices.Clone(l.fields), func(f field) bool { return f == unwanted })
	return l
}

// String returns the rule as auditctl -l prints it.
func (l loaded) String() string {
	text, err := rule.ToCommandLine(l.wire, false)
	if err != nil { // a system call or a field that go-libaudit does not know yet
		return fmt.Sprintf("an audit rule that only auditctl -l can show (%v)", err)
	}
	return text
}
