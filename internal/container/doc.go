// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package container finds the names of containers and pods, of which the kernel knows only the ids.
//
// It asks no daemon and no API server, which would take the right to command them. It reads what they leave on the
// host: containerd's, Docker's, CRI-O's and Podman's own folders, and the kubelet's logs. A wrong name is worse than
// none, so it believes little:
//   - Only files that belong to root, and that nobody else may write. What a rootless runtime of a user leaves says
//     nothing of the containers of others, and below user.slice nothing is a container (process.ParseCgroup).
//   - Never what is inside a container, which its owner writes.
//   - What an image or the author of a pod may choose, such as Docker's labels, counts only if it names the pod whose
//     uid is in the path of the control group.
//   - A name counts only for processes in the control group where the runtime has put the container: whoever owns
//     another group may give its children any name.
//   - What two sources tell differently is not known.
//   - A name that is too long is not cut: it could be another's then.
//
// A file system may let its reader wait forever. So one goroutine reads, and events wait for it only a moment.
package container
