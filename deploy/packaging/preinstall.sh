#!/bin/sh
# Copyright The auditkill Authors
# SPDX-License-Identifier: Apache-2.0

# Creates the service's user before the files that belong to it are unpacked; the same for .deb and .rpm.
set -e
user=otelcol-auditkill
# Debian also calls this for an abort, when the user already exists.
getent group "$user" >/dev/null || groupadd --system "$user"
getent passwd "$user" >/dev/null || useradd --system --gid "$user" --no-create-home \
	--home-dir "/var/lib/$user" --shell /usr/sbin/nologin --comment "auditkill's OpenTelemetry Collector" "$user"
