// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Command kubernetes reads manifests as strictly as an API server can, and prints their
// objects, one line of JSON each. With --patch a strategic merge patch is applied to those that it
// names. With --schemas it writes the schemas that kubeconform checks manifests against. It is a module of its own because the types of Kubernetes have many dependencies.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

// kinds has a constructor for each kind of object that our manifests may contain.
var kinds = map[string]func() runtime.Object{
	"v1 ConfigMap":      func() runtime.Object { return new(core.ConfigMap) },
	"v1 Namespace":      func() runtime.Object { return new(core.Namespace) },
	"v1 Service":        func() runtime.Object { return new(core.Service) },
	"v1 ServiceAccount": func() runtime.Object { return new(core.ServiceAccount) },

	"apps/v1 DaemonSet":   func() runtime.Object { return new(apps.DaemonSet) },
	"apps/v1 StatefulSet": func() runtime.Object { return new(apps.StatefulSet) },

	"networking.k8s.io/v1 NetworkPolicy": func() runtime.Object { return new(networking.NetworkPolicy) },
	"policy/v1 PodDisruptionBudget":      func() runtime.Object { return new(policy.PodDisruptionBudget) },
}

// manifest is an object, and the text that it was read from.
type manifest struct {
	runtime.Object

	text []byte
}

func main() {
	patch := flag.String("patch", "", "a file with patches")
	schemas := flag.String("schemas", "", "write JSON schemas of the kinds into this folder, and nothing else")
	flag.Parse()
	if *schemas != "" {
		writeSchemas(*schemas)
		return
	}
	var patches []manifest
	if *patch != "" {
		patches = read(*patch)
	}
	for _, path := range flag.Args() {
		for _, object := range read(path) {
			for _, p := range patches {
				if object.name() == p.name() {
					object.Object = merge(object, p)
				}
			}
			check(path, json.NewEncoder(os.Stdout).Encode(object.Object))
		}
	}
}

func check(what string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

// read returns the objects of a file.
func read(path string) (all []manifest) {
	file, err := os.Open(path)
	check(path, err)
	defer file.Close()
	documents := yaml.NewYAMLReader(bufio.NewReader(file))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		check(path, err)
		object, err := decode(document)
		check(fmt.Sprintf("%s: document %d", path, len(all)+1), err)
		all = append(all, manifest{object, document})
	}
}

// name is what a patch has in common with its object.
func (m manifest) name() string {
	named := m.Object.(meta.Object)
	return m.GetObjectKind().GroupVersionKind().String() + " " + named.GetNamespace() + "/" + named.GetName()
}

// merge applies a strategic merge patch, as an API server and kustomize do.
func merge(object, patch manifest) runtime.Object {
	original, err := strict.YAMLToJSON(object.text)
	check("the object", err)
	change, err := strict.YAMLToJSON(patch.text)
	check("the patch", err)
	merged, err := strategicpatch.StrategicMergePatch(original, change, object.Object)
	check("merging", err)
	result, err := decode(merged)
	check("the result", err)
	return result
}

// decode refuses unknown and duplicate keys, and values of a wrong type.
func decode(document []byte) (runtime.Object, error) {
	var kind runtime.TypeMeta
	if err := strict.Unmarshal(document, &kind); err != nil {
		return nil, err
	}
	name := kind.APIVersion + " " + kind.Kind
	newObject, known := kinds[name]
	if !known {
		return nil, fmt.Errorf("unknown kind %q: add it to kinds if our manifests need it", name)
	}
	object := newObject()
	return object, strict.UnmarshalStrict(document, object)
}
