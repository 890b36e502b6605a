#!/bin/sh
# Copyright The auditkill Authors
# SPDX-License-Identifier: Apache-2.0

# Moves every tracked file to another version of the collector: modules of contrib and most of the core have one version,
# the stable modules of the core another. The elasticsearch exporter keeps its own unless a third version is given.
# Checksums are left to `make tidy`; CHANGELOG.md and testdata stay as they are.
set -eu
cd "$(dirname "$0")/.."

fail() {
	echo "$1
usage: make bump VERSION=v0.N.0 STABLE=v1.N.0 [ELASTIC=v0.N.0]; each release of the collector names the first two:
https://github.com/open-telemetry/opentelemetry-collector/releases" >&2
	exit 2
}

# version prints a version without its v.
version() {
	printf '%s\n' "$2" | grep -Exq 'v?[0-9]+\.[0-9]+\.[0-9]+' || fail "$1 must be a version such as v1.2.3, but is '$2'"
	echo "${2#v}"
}

# present prints the version of a module in the distribution.
present() { version "the version of $1 in builder-config.yaml" "$(sed -n "s|.*/$1 ||p" builder-config.yaml)"; }

# pattern prints a version as a regular expression.
pattern() { echo "$1" | sed 's/\./\\./g'; }

beta=$(present receiver/otlpreceiver)
stable=$(present confmap/provider/envprovider)
elastic=$(present exporter/elasticsearchexporter)
new_beta=$(version VERSION "${1-}")
new_stable=$(version STABLE "${2-}")
new_elastic=$(version ELASTIC "${3:-$elastic}")

move="
/elasticsearchexporter/ { s/ v$(pattern "$elastic")\b/ v$new_elastic/; b }
s/\b\(v\?\)$(pattern "$beta")\b/\1$new_beta/g
s/\b\(v\?\)$(pattern "$stable")\b/\1$new_stable/g
s/\(otelcol-contrib \)$(pattern "${beta%.*}")\b/\1${new_beta%.*}/g"
# Another module in go.mod may happen to have the same version.
skip_others='/go\.opentelemetry\.io\/collector\|opentelemetry-collector/!b'

naming() { git grep -lIz -e "$(pattern "${beta%.*}")" -e "$(pattern "$stable")" -e elasticsearchexporter -- "$@"; }
naming ':!*go.mod' ':!*.sum' ':!CHANGELOG.md' ':(exclude,glob)**/testdata/**' | xargs -0 sed -i -e "$move"
naming '*go.mod' | xargs -0 sed -i -e "$skip_others" -e "$move"

echo "Moved from v$beta and v$stable to v$new_beta and v$new_stable. Left at other versions, in the manifests:"
git grep -h 'gomod: .*collector.* v' -- '*.yaml' | grep -v -e " v$new_beta" -e " v$new_stable" | sed 's/^ *- gomod: /  /' | sort -u
cat <<'END'
Left to do:
  make tidy         writes the checksums; read the diff for modules that came in at their newest version
  make generate     writes code and documentation, perhaps differently with the new mdatagen
  make lint test
  make bench-file   measures again: docs/performance.md names the version
  CHANGELOG.md      says what changes for users
END
