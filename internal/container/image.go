// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package container

import "strings"

const (
	// maxName is the longest name that is believed: Kubernetes allows 253 bytes for a pod.
	maxName = 255
	// maxTag is the longest tag of an image (github.com/distribution/reference).
	maxTag = 128
)

// imageOf returns the name and the tag of a reference to an image, such as registry.example:5000/shop/web:1.2. What
// refers to it by its id alone has no name.
func imageOf(reference string) (name, tag string) {
	name, _, _ = strings.Cut(reference, "@") // the digest
	if colon := strings.LastIndexByte(name, ':'); colon > strings.LastIndexByte(name, '/') {
		name, tag = name[:colon], name[colon+1:]
	}
	if name == "sha256" || tag == "" && len(name) >= minImageID && isHex(name) {
		return "", ""
	}
	if len(name) > maxName || len(tag) > maxTag {
		return "", ""
	}
	return name, tag
}

// minImageID is the length of the ids of images that runtimes show, and that people type.
const minImageID = 12
