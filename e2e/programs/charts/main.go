// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Command charts makes manifests as helm and kustomize do, and checks manifests as kubeconform does against the schemas in this
// repository. It is a module of its own because these have many dependencies.
//
//	charts template CHART NAMESPACE [VALUES]   render a Helm chart with values (YAML)
//	charts lint CHART                          what `helm lint --strict` says
//	charts kustomize FOLDER                    build a kustomization
//	charts check SCHEMAS FILE...               check manifests
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/yannh/kubeconform/pkg/validator"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// release is the name of the Helm release, by which the chart names its objects.
const release = "auditkill"

func main() {
	if len(os.Args) < 3 {
		fail("arguments", errors.New("see the documentation of the command"))
	}
	switch what, arguments := os.Args[1], os.Args[2:]; what {
	case "template":
		values := ""
		if len(arguments) > 2 {
			values = arguments[2]
		}
		template(arguments[0], arguments[1], values)
	case "lint":
		lintChart(arguments[0])
	case "kustomize":
		resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), arguments[0])
		check(arguments[0], err)
		text, err := resources.AsYaml()
		check(arguments[0], err)
		fmt.Print(string(text))
	case "check":
		conform(arguments[0], arguments[1:])
	default:
		fail(what, errors.New("no such command"))
	}
}

func check(what string, err error) {
	if err != nil {
		fail(what, err)
	}
}

func fail(what string, err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
	os.Exit(1)
}

// template prints the objects of a chart, but not its notes. Values are checked against the chart's schema.
func template(path, namespace, text string) {
	chart, err := loader.Load(path)
	check(path, err)
	values, err := chartutil.ReadValues([]byte(text))
	check("values", err)
	options := chartutil.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(chart, values, options, chartutil.DefaultCapabilities)
	check(path, err)
	files, err := engine.Render(chart, all)
	check(path, err)
	names := make([]string, 0, len(files))
	for name, text := range files {
		if strings.TrimSpace(text) != "" && filepath.Ext(name) == ".yaml" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Printf("---\n%s\n", strings.TrimSpace(files[name]))
	}
}

// lintChart fails if the chart has anything worse than a hint.
func lintChart(path string) {
	result := lint.All(path, nil, release, true)
	for _, message := range result.Messages {
		fmt.Println(message)
	}
	if result.HighestSeverity > support.InfoSev {
		os.Exit(1)
	}
}

// conform fails if an object does not conform to its schema, or has none.
func conform(schemas string, files []string) {
	v, err := validator.New([]string{filepath.Join(schemas, "{{.ResourceKind}}{{.KindSuffix}}.json")}, validator.Opts{Strict: true})
	check(schemas, err)
	valid := true
	for _, path := range files {
		file, err := os.Open(path)
		check(path, err)
		objects := 0
		for _, result := range v.Validate(path, file) {
			if result.Status == validator.Empty {
				continue
			}
			objects++
			if result.Status != validator.Valid {
				signature, _ := result.Resource.Signature()
				fmt.Printf("%s: %v: %v\n", path, signature, result.Err)
				valid = false
			}
		}
		if objects == 0 {
			fmt.Printf("%s has no objects\n", path)
			valid = false
		}
	}
	if !valid {
		os.Exit(1)
	}
}
