// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Command kubernetes reads manifests as strictly as an API server can, and prints their
// objects, one line of JSON each. It is a module of its own because the types of Kubernetes
// have many dependencies.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
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

func main() {
	for _, path := range os.Args[1:] {
		if err := read(path, os.Stdout); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			os.Exit(1)
		}
	}
}

// read prints the objects of a file.
func read(path string, to io.Writer) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	documents := yaml.NewYAMLReader(bufio.NewReader(file))
	for i := 1; ; i++ {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		object, err := decode(document)
		if err != nil {
			return fmt.Errorf("document %d: %w", i, err)
		}
		if err := json.NewEncoder(to).Encode(object); err != nil {
			return err
		}
	}
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
