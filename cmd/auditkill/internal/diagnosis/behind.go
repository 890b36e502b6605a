// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package diagnosis

// The facts about who is behind a signal.
const (
	// BehindConnects is who connects to a manager, such as systemd or containerd.
	BehindConnects = "connects"
	// BehindJobs is what systemd does to services, and why.
	BehindJobs = "jobs"
	// BehindCalls is who calls systemd over the bus.
	BehindCalls = "calls"
	// BehindLogins is whose login a process belongs to.
	BehindLogins = "logins"
	// BehindOthers is what the systemds of containers and users do.
	BehindOthers = "others"
	// BehindNames is what containers and pods are called.
	BehindNames = "names"
	// BehindLimits is which limit was reached by what the kernel kills for lack of memory.
	BehindLimits = "limits"
)

// Behind is the judgement on one of these facts.
type Behind struct {
	Name  string `json:"name"`
	Known bool   `json:"known"`
	// Finding says why it is not known, and what fixes that.
	Finding
}

// The commands that give more rights: to this process, to the service, and to the agents of Kubernetes.
const (
	watchAsRoot = "sudo auditkill watch"
	addDropIn   = "sudo install -D -m 0644 /usr/share/otelcol-auditkill/systemd/behind.conf " +
		"/etc/systemd/system/otelcol-auditkill.service.d/zz-behind.conf"
	mountBus  = "docker run -v /run/dbus:/host/run/dbus:ro -v /run/systemd/sessions:/host/run/systemd/sessions:ro"
	mountLogs = "docker run -v /var/lib/docker/containers:/host/var/lib/docker/containers:ro"
	patchLogs = "kubectl -n auditkill patch daemonset otelcol-auditkill-agent --patch-file deploy/kubernetes/names.yaml"
	addNames  = "sudo install -D -m 0644 /usr/share/otelcol-auditkill/systemd/names.conf " +
		"/etc/systemd/system/otelcol-auditkill.service.d/zz-names.conf"
	addKernelLog = "sudo install -D -m 0644 /usr/share/otelcol-auditkill/systemd/kmsg.conf " +
		"/etc/systemd/system/otelcol-auditkill.service.d/zz-kmsg.conf"
	mountKernelLog = "docker run --device /dev/kmsg:/dev/kmsg:r --cap-add SYSLOG"
	patchPod       = "kubectl -n auditkill patch daemonset otelcol-auditkill-agent --patch-file deploy/kubernetes/behind.yaml"
)

// judgeBehind judges what can be known about who is behind a signal. What the host does not have is left out.
func judgeBehind(f *Facts) []Behind {
	if f.OS != "linux" {
		return []Behind{}
	}
	all := []Behind{behind(BehindConnects, f.BPF.Possible,
		finding("only ebpf sees who connects to systemd, containerd and other managers"))}
	all = append(all, f.judgeLimits())
	all = append(all, f.judgeNames()...)
	if !f.Systemd.Runs {
		return all
	}
	return append(
		all,
		behind(BehindJobs, f.Systemd.Reached, f.unreached("what systemd does to services is not known: "+f.Systemd.Error)),
		behind(BehindCalls, f.Systemd.Reached && f.root(), f.unseen("the bus shows only root who calls systemd; otherwise that is "+
			"inferred, or not known")),
		behind(BehindLogins, f.Systemd.Reached || f.Systemd.Sessions, f.unreached("who has logged in is not known")),
		f.judgeOthers(),
	)
}

// judgeLimits judges whether it is certain which limit was reached: the kernel's log says it, or a function of the kernel
// that can be traced.
func (f *Facts) judgeLimits() Behind {
	what := "which limit was reached by a process that is killed for lack of memory is not known, as the kernel's log cannot be read: "
	if f.BPF.Possible {
		what = "which limit was reached by a process that is killed for lack of memory is only inferred: the kernel's log, which says " +
			"it for certain, cannot be read: "
	}
	mend := []string{watchAsRoot, addKernelLog}
	switch {
	case f.Namespaces.PID == NamespaceOther:
		mend = []string{mountKernelLog}
	case f.UserID == 0:
		mend = []string{}
	}
	return behind(BehindLimits, f.KernelLog.Error == "" || f.BPF.TracesMemory, finding(what+f.KernelLog.Error, mend...))
}

// judgeNames judges whether the names of containers and pods can be read; nothing on a host without any. Who is in a
// container himself knows that there is one.
func (f *Facts) judgeNames() []Behind {
	inside := f.Namespaces.PID == NamespaceOther
	switch {
	case !f.Containers.Found && !inside:
		return nil
	case !f.Containers.Found:
		return []Behind{behind(BehindNames, false, finding("the names of containers and pods are not known", mountLogs, patchLogs))}
	}
	mend := []string{watchAsRoot, addNames}
	if inside || f.UserID == 0 {
		mend = []string{}
	}
	return []Behind{behind(BehindNames, f.Containers.Error == "",
		finding("the names of containers and pods are not known: "+f.Containers.Error, mend...))}
}

func behind(name string, known bool, otherwise Finding) Behind {
	if known {
		return Behind{Name: name, Known: true, Finding: finding("")}
	}
	return Behind{Name: name, Finding: otherwise}
}

// root reports whether this is root of the host.
func (f *Facts) root() bool { return f.UserID == 0 && f.Namespaces.User != NamespaceOther }

// unreached says how systemd is reached.
func (f *Facts) unreached(what string) Finding {
	if f.Namespaces.PID == NamespaceOther {
		return finding(what, mountBus, patchPod)
	}
	return finding(what)
}

// unseen says how to see what the bus shows root only.
func (f *Facts) unseen(what string) Finding {
	if f.UserID == 0 {
		return f.unreached(what)
	}
	return finding(what, watchAsRoot, addDropIn)
}

// judgeOthers judges whether the systemds of containers and users can be listened to. Those of users let only
// their users and root in, and the folders of their sockets not even root by itself.
func (f *Facts) judgeOthers() Behind {
	known := f.root() && len(f.lacking(capPtrace, capOverride)) == 0 && f.Namespaces.PID != NamespaceOther
	what, mend := "the systemds of users let only root listen to them, with "+capOverride+" and in the initial pid namespace", []string{}
	if len(f.lacking(capPtrace)) > 0 {
		what, mend = "the systemds of containers and users cannot be listened to without "+capPtrace, []string{"docker run --cap-add SYS_PTRACE"}
	}
	if f.UserID != 0 {
		mend = []string{watchAsRoot, addDropIn}
	}
	return behind(BehindOthers, known, finding(what, mend...))
}
