#!/bin/sh
# Copyright The auditkill Authors
# SPDX-License-Identifier: Apache-2.0

# The user of the service, before files are unpacked that belong to it; the same for .deb and .rpm.
set -e
user=otelcol-auditkill
# Debian calls it for an abort as well, when the user is there.
getent group "$user" >/dev/null || groupadd --system "$user"
getent passwd "$user" >/dev/null || useradd --system --gid "$user" --no-create-home \
	--home-dir "/var/lib/$user" --shell /usr/sbin/nologin --comment "auditkill's OpenTelemetry Collector" "$user"
