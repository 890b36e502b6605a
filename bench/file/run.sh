#!/usr/bin/env bash
# Copyright The auditkill Authors
# SPDX-License-Identifier: Apache-2.0
#
# Measures in one run how long the collector and other tools take to find the kills in a large audit log, and prints the
# tables of docs/performance.md, which explains the numbers. `make bench-file` builds the collector and auditkill
# first.
#
#   SIZE=1000000000        bytes of the log; 4000000000 shows that memory does not grow with the log
#   KILLS_SIZE=100000000   bytes of the log in which every event is a kill
#   PLAIN=                 1 repeats the recording unchanged, instead of moving its times and serials on
#   ROUNDS=5               rounds of the fast tools, in turn; the least time counts, because other programs on the
#                          machine can only add to it
#   SLOW_ROUNDS=1          rounds of the tools that take minutes; 0 leaves them out
#   SLICE=                 bytes that the slow tools read instead of the whole log; their times are then scaled up
#   BENCH_DIR=             where the log and the outputs go (twice SIZE is enough); a temporary folder by default
#   KEEP=                  1 keeps the log and the outputs
#   COLLECTOR=             another build of the collector
set -euo pipefail
cd "$(dirname "$0")/../.."

SIZE=${SIZE:-1000000000}
KILLS_SIZE=${KILLS_SIZE:-100000000}
ROUNDS=${ROUNDS:-5}
SLOW_ROUNDS=${SLOW_ROUNDS:-1}
SLICE=${SLICE:-}
PLAIN=${PLAIN:-}
KEEP=${KEEP:-}

collector=${COLLECTOR:-_build/otelcol-auditkill}
auditkill=_build/auditkill
filelog=_build/filelog/otelcol-filelog
dir=${BENCH_DIR:-}
if [[ -n $dir ]]; then mkdir -p "$dir"; else dir=$(mktemp -d); fi
clean() { [[ -n $KEEP ]] || { rm -rf "$dir"/{bin,*.log,*.out}; rmdir --ignore-fail-on-non-empty "$dir"; }; }
trap clean EXIT

say() { echo "$*" >&2; }
die() { say "bench/file/run.sh: $*"; exit 1; }

declare -A best rounds memory   # by tool: least seconds, all seconds, most kB
left_out=()

# leave_out TOOL WHY: reports that a tool is left out. In CI that is an error.
leave_out() {
	[[ ${CI:-} != true ]] || die "$1 cannot be measured: $2"
	left_out+=("$1: $2")
	say "LEFT OUT: $1: $2"
}

# run TOOL EXPECTED PATTERN OPTION... -- COMMAND...: measures a command once, and checks how many kills it found: the
# number of PATTERNs in $out, or without a pattern the number in $out.
run() {
	local tool=$1 expected=$2 pattern=$3 measured seconds kilobytes found
	shift 3
	rm -f "$out"
	measured=$("$dir/bin/measure" "$@") || die "$tool failed"
	read -r seconds kilobytes <<<"$measured"
	if [[ -n $pattern ]]; then found=$({ grep -aoF -- "$pattern" "$out" || true; } | wc -l); else found=$(<"$out"); fi
	[[ $found == "$expected" ]] || die "$tool found $found instead of $expected${pattern:+ times $pattern}"
	rounds[$tool]+="$seconds "
	best[$tool]=$(least "${best[$tool]:-$seconds}" "$seconds")
	memory[$tool]=$(( kilobytes > ${memory[$tool]:-0} ? kilobytes : ${memory[$tool]:-0} ))
	say "$tool: $seconds s, $kilobytes kB"
}

least() { awk -v a="$1" -v b="$2" 'BEGIN { print (a < b ? a : b) }'; }
calc() { awk "BEGIN { printf \"$1\", $2 }"; }

# collect TOOL EXPECTED LOG FORMAT OPTION...: measures the collector once, from its start until it has written everything
# and ended.
collect() {
	LOG=$3 FORMAT=$4 OUT=$out run "$1" "$2" kill.scope -until 'the log was read to its end' "${@:5}" -- \
		"$collector" --config bench/file/auditkill.yaml
}

# doctor reads a log that was made for it, because its result for the host's own log depends on the host.
fast() {
	run grep "$kills" '' -out "$out" -- grep -cF OBJ_PID "$dir/all.log"
	collect json "$kills" "$dir/all.log" json
	collect proto "$kills" "$dir/all.log" proto
	run report "$kills" '  ok  ' -out "$out" -- "$auditkill" report --target '*' "$dir/all.log"
	run report-json "$kills" kill.scope -out "$out" -- "$auditkill" report --target '*' -o json "$dir/all.log"
	run report-short "$short_kills" '  ok  ' -out "$out" -- "$auditkill" report --target '*' "$dir/short.log"
	run doctor 1 '"chosen":' -out "$out" -- sh -c '"$1" doctor --file "$2" -o json || [ $? = 1 ]' sh "$auditkill" "$dir/short.log"
	collect kills "$only_kills" "$dir/kills.log" json
	collect start 0 "$dir/empty.log" json -pause 50ms
}

slow() {
	run libaudit "$slice_kills" '' -out "$out" -- "$dir/bin/libaudit" "$dir/$slice.log"
	if [[ -x $(command -v ausearch) ]]; then
		run ausearch "$slice_kills" OBJ_PID -out "$out" -- ausearch -k audit_kill -if "$dir/$slice.log"
	fi
	if [[ -x $filelog ]]; then
		LOG=$dir/$slice.log OUT=$out run filelog "$slice_kills" '"opid"' -settled "$out" -- \
			"$filelog" --config bench/file/filelog.yaml
	fi
}

# The collector with the general receiver is built once; the versions of its modules are pinned.
build_filelog() {
	[[ bench/file/filelog-builder.yaml -nt $filelog ]] || return 0
	say 'building a collector with the file_log receiver ...'
	mkdir -p _build
	go tool -modfile=tools/go.mod builder --config bench/file/filelog-builder.yaml >"$dir/builder.out" 2>&1 ||
		{ tail -n 3 "$dir/builder.out" >&2; return 1; }
}

# row TITLE TOOL [SCALE]: prints a row of the table of times.
row() {
	[[ -n ${best[$2]:-} ]] || return 0
	local seconds
	seconds=$(calc %.3f "${best[$2]} * ${3:-1}")
	printf '| %s | %.2f s | %s | %s | %.0f MB |\n' "$1" "$seconds" "$(calc '%.3g' "$seconds / ${best[grep]}")" \
		"$(calc '%.3g' "$seconds / ${best[json]}")" "$(calc %.0f "${memory[$2]} / 1024")"
}

# target TEXT VALUE LIMIT: prints whether a value reaches a target: at least LIMIT, or at most its absolute value if LIMIT
# is negative.
target() {
	local verdict
	verdict=$(awk -v v="$2" -v l="$3" 'BEGIN { print (l < 0 ? v <= -l : v >= l) ? "reached" : "MISSED" }')
	printf '| %s | %.3g | %s |\n' "$1" "$2" "$verdict"
}

for program in "$collector" "$auditkill"; do
	[[ -x $program ]] || die "$program is missing: run make bench-file, which builds it"
done
go build -o "$dir/bin/" ./bench/file/...
if (( SLOW_ROUNDS > 0 )); then
	[[ -x $(command -v ausearch) ]] || leave_out ausearch 'it is not installed (Debian: apt-get install auditd)'
	build_filelog || leave_out file_log "ocb could not build bench/file/filelog-builder.yaml"
fi

say "writing the logs to $dir ..."
"$dir/bin/auditlog" -size "$SIZE" ${PLAIN:+-plain} >"$dir/all.log"
"$dir/bin/auditlog" -size "$KILLS_SIZE" ${PLAIN:+-plain} -kills-only >"$dir/kills.log"
: >"$dir/empty.log"
head -c 1000000 "$dir/all.log" | sed '$d' >"$dir/short.log"
slice=all scale=1
if [[ -n $SLICE ]]; then
	slice=slice
	head -c "$SLICE" "$dir/all.log" | sed '$d' >"$dir/slice.log" # without the last line, which is incomplete
	scale=$(calc %.6f "$(stat -c %s "$dir/all.log") / $(stat -c %s "$dir/slice.log")")
fi
# The numbers of kills that every tool must find. Counting also brings the logs into the page cache.
kills=$(cat "$dir/all.log" | grep -cF OBJ_PID)
only_kills=$(cat "$dir/kills.log" | grep -cF OBJ_PID)
short_kills=$(cat "$dir/short.log" | grep -cF OBJ_PID)
slice_kills=$(cat "$dir/$slice.log" | grep -cF OBJ_PID)
out=$dir/measured.out

for (( round = 1; round <= ROUNDS || round <= SLOW_ROUNDS; round++ )); do
	say "round $round"
	if (( round <= ROUNDS )); then fast; fi
	if (( round <= SLOW_ROUNDS )); then slow; fi
done

lines=$(wc -l <"$dir/all.log")
bytes=$(stat -c %s "$dir/all.log")
scaled=''
[[ -z $SLICE ]] || scaled=", scaled up from $(stat -c %s "$dir/slice.log") bytes"
echo
echo "$(calc %.2f "$bytes / 1e9") GB, $lines records, $kills kills that hit a process${PLAIN:+, repeated as recorded}; $(nproc) processors," \
	"$(go env GOVERSION), $(grep --version | sed 's/ (GNU grep)//;1q')$(
		! command -v dpkg-query >/dev/null || dpkg-query -W -f=', auditd ${Version}' auditd 2>/dev/null || true)"
echo
echo '| what | time | times grep | times ours | peak memory |'
echo '|---|--:|--:|--:|--:|'
row '`grep -cF OBJ_PID`' grep
row '`otelcol-auditkill`, file exporter, `format: proto`' proto
row '**`otelcol-auditkill`, file exporter, JSON (its default)**' json
row '`auditkill report`' report
row '`auditkill report -o json`' report-json
row "\`file_log\` with \`filter\`, \`regex_parser\` and \`recombine\`, file exporter, JSON$scaled" filelog "$scale"
row "go-libaudit v2.6.2: parse, \`Reassembler\`, \`CoalesceMessages\`$scaled" libaudit "$scale"
row "\`ausearch -k audit_kill\`$scaled" ausearch "$scale"
echo
echo '| target | measured | |'
echo '|---|--:|---|'
for tool in json proto report; do
	target "$tool: at most 1.2 times the time of \`grep\`" "$(calc %f "${best[$tool]} / ${best[grep]}")" -1.2
done
for pair in 'ausearch 150' 'libaudit 100'; do
	read -r tool factor <<<"$pair"
	[[ -z ${best[$tool]:-} ]] ||
		target "at least $factor times as fast as $tool" "$(calc %f "${best[$tool]} * $scale / ${best[json]}")" "$factor"
done
target '`auditkill report`: at most 1.3 times the time of the collector' "$(calc %f "${best[report]} / ${best[json]}")" -1.3
target '`auditkill report -o json`: the same' "$(calc %f "${best[report-json]} / ${best[json]}")" -1.3
target '`auditkill report`: peak memory under 50 MB' "$(calc %f "(${memory[report]} > ${memory[report-json]} ? ${memory[report]} : ${memory[report-json]}) / 1024")" -50
target '`auditkill report` of 1 MB: under 100 ms' "$(calc %f "${best[report-short]} * 1000")" -100
target '`auditkill doctor`: under 100 ms' "$(calc %f "${best[doctor]} * 1000")" -100
target '`auditkill` itself: under 20 MB' "$(calc %f "$(stat -c %s "$auditkill") / 1e6")" -20
target 'peak memory under 100 MB' "$(calc %f "(${memory[json]} > ${memory[kills]} ? ${memory[json]} : ${memory[kills]}) / 1024")" -100
echo
echo "Start and end of the collector with an empty log: $(calc %.0f "${best[start]} * 1000") ms (part of its times above)."
echo "A log where every event is a kill, JSON: $(calc %.1f "(${best[kills]} - ${best[start]}) * 1e6 / $only_kills") us an event" \
	"from end to end, $(calc %.0f "${memory[kills]} / 1024") MB."
for tool in grep proto json report report-json report-short doctor filelog libaudit ausearch; do
	[[ -z ${rounds[$tool]:-} ]] || echo "Rounds of $tool: ${rounds[$tool]}s."
done
for each in "${left_out[@]}"; do echo "LEFT OUT: $each"; done
