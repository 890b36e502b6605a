// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

package harness

import "path/filepath"

// Path returns the path of a file in this repository. Go runs a test in the folder of its
// package, and each package with tests is two levels below the root.
func Path(elements ...string) string {
	return filepath.Join(append([]string{"..", ".."}, elements...)...)
}

// Distribution returns the path of the program under test.
func Distribution() string { return Path("_build/otelcol-auditkill") }

// Module returns the folder of a module in e2e/programs, which has programs that tests run.
func Module(name string) string { return Path("e2e/programs", name) }
