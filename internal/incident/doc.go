// Copyright The auditkill Authors
// SPDX-License-Identifier: Apache-2.0

// Package incident joins what belongs together, over processes and hosts: records of signals and ends in, incidents
// out. It is pure: it knows no OpenTelemetry, no clock and no disk, so that whoever calls it says what time it is.
//
// Records come as a network delivers them: late, again, out of order. A record joins an incident by its own time, and
// by what is most telling of what it has (key.go). Strong keys, such as the process that asked, unite incidents; weak
// keys, such as the unit, only attract records, and only those that all members have in common.
//
// Everything is bounded (Config.MaxOpen, MaxMembers). What is given up for it is counted, and is that of the host
// and the user who take up the most.
package incident
