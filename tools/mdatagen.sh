#!/bin/sh
# Copyright The auditkill Authors
# SPDX-License-Identifier: Apache-2.0

# mdatagen names the package after the folder it finds metadata.yaml in, and a clone may lie in a folder of any
# name: a link of the package's name makes the result the same everywhere.
set -eu
links=$(mktemp -d)
trap 'rm -r "$links"' EXIT
ln -s "$PWD" "$links/$GOPACKAGE"
go tool -modfile=tools/go.mod mdatagen "$links/$GOPACKAGE/metadata.yaml"
