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
counts=$(mktemp)
trap 'rm -f "$counts"' EXIT
valgrind --tool=callgrind --callgrind-out-file="$counts" ".build/release/$benchmark" "$@"
callgrind_annotate "$counts" | sed -n '/^Ir/,$p' | head -n 40
