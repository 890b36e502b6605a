#!/bin/sh
# Copyright The auditkill Authors
# SPDX-License-Identifier: Apache-2.0

# mdatagen names the package after the folder of metadata.yaml, and a clone may be in a folder of any name.
# A link with the name of the package makes the result the same everywhere.
set -eu
links=$(mktemp -d)
trap 'rm -r "$links"' EXIT
ln -s "$PWD" "$links/$GOPACKAGE"
go tool -modfile=tools/go.mod mdatagen "$links/$GOPACKAGE/metadata.yaml"
