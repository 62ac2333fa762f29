#!/usr/bin/env bash
# Instructions instead of time, where the clock of the machine is too noisy to compare two versions: the same number comes
# out however busy it is. Needs valgrind. Usage: instructions.sh [BENCHMARK] [its arguments]; codecs-benchmark 5 if none.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "valgrind is missing: apt-get install valgrind" >&2; exit 1; }
benchmark=${1:-codecs-benchmark}
[ $# -gt 0 ] && shift
[ $# -gt 0 ] || set -- 5
swift build -c release --static-swift-stdlib --product "$benchmark"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Valgrind does not understand the debug information of this linker; the names of functions are enough.
strip --strip-debug -o "$work/$benchmark" ".build/release/$benchmark"
valgrind --tool=callgrind --callgrind-out-file="$work/counts" "$work/$benchmark" "$@"
callgrind_annotate "$work/counts" | sed -n '/^Ir/,$p' | head -n 40
