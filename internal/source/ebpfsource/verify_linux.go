// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

//go:build amd64 || arm64

package ebpfsource

import (
	"errors"
	"sync"

	"github.com/cilium/ebpf"
)

// loadAll loads maps and programs into the kernel. The verifier needs as long for the program that sees signals as for all
// others together: it is loaded beside them. Programs that are not wanted are no longer in the specification.
func loadAll(spec *ebpf.CollectionSpec) (*ebpf.Collection, error) {
	all, err := loadSome(spec, nil, func(string) bool { return false })
	if err != nil {
		return nil, err
	}
	var group sync.WaitGroup
	var parts [2]*ebpf.Collection
	var errs [2]error
	for n := range parts {
		group.Go(func() {
			parts[n], errs[n] = loadSome(spec, all.Maps, func(name string) bool { return (name == kernelProgGenerate) == (n == 0) })
		})
	}
	group.Wait()
	for _, part := range parts {
		if part == nil {
			continue
		}
		for name := range part.Programs {
			all.Programs[name] = part.DetachProgram(name)
		}
		part.Close() // its copies of the maps
	}
	if err := errors.Join(errs[:]...); err != nil {
		all.Close()
		return nil, err
	}
	return all, nil
}

// loadSome loads some of the programs, which use maps that were loaded before.
func loadSome(spec *ebpf.CollectionSpec, maps map[string]*ebpf.Map, wanted func(program string) bool) (*ebpf.Collection, error) {
	some := *spec
	some.Programs = map[string]*ebpf.ProgramSpec{}
	for name, program := range spec.Programs {
		if wanted(name) {
			some.Programs[name] = program
		}
	}
	return ebpf.NewCollectionWithOptions(&some, ebpf.CollectionOptions{MapReplacements: maps})
}
