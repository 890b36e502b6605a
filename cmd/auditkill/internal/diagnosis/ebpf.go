// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package diagnosis

import "slices"

// judgeEBPF judges whether signals can be traced in the kernel.
func judgeEBPF(f *Facts) Source {
	if f.BPF.Possible {
		return newSource(SourceEBPF, nil, nil)
	}
	stops := bpfCauses(f)
	if len(stops) == 0 {
		stops = append(stops, bpfProblem(&f.BPF))
	}
	return newSource(SourceEBPF, stops, nil)
}

// bpfCauses are the causes that are known without the answer of bpf(2).
func bpfCauses(f *Facts) []Finding {
	if f.BPF.Problem == BPFUnsupported {
		return nil
	}
	var causes []Finding
	if f.Namespaces.User == NamespaceOther {
		causes = append(causes, elsewhere("user", settingsUser))
	} else if missing := f.lacking(capBPF, capPerfmon); len(missing) > 0 && !slices.Contains(f.Capabilities, capSysAdmin) {
		causes = append(causes, f.lacks(SourceEBPF, missing)) // CAP_SYS_ADMIN includes both
	}
	if !f.BTF {
		causes = append(causes, finding("the kernel has no type information (/sys/kernel/btf/vmlinux): use one with "+
			"CONFIG_DEBUG_INFO_BTF=y, as distributions have built them since 2021"))
	}
	if f.Lockdown == "confidentiality" {
		causes = append(causes, finding("the kernel is locked down (confidentiality) and lets nobody read its memory: "+
			"boot it with lockdown=integrity, or without lockdown="))
	}
	return causes
}

func bpfProblem(b *BPF) Finding {
	switch b.Problem {
	case BPFUnsupported:
		return finding("the programs exist only for Linux on x86-64 and arm64")
	case BPFAbsent:
		return finding("the kernel has no bpf(2) (CONFIG_BPF_SYSCALL), or a seccomp profile hides it: " + b.Error)
	case BPFTooOld:
		return finding("the kernel lacks what the programs use; Linux 5.15 or newer is needed: " + b.Error)
	case BPFRefused:
		return finding("a seccomp profile or security module refuses bpf(2) or, before Linux 5.11, the limit of locked memory does: "+
			b.Error, "docker run --security-opt seccomp=unconfined --ulimit memlock=-1",
			"LimitMEMLOCK=infinity")
	}
	return finding("loading a program has failed: " + b.Error)
}
