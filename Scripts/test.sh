#!/usr/bin/env bash
# Runs every test: units and components in debug, the built program end to end in release, what Deploy/ renders.
# Closes with one line: N passed, N failed, N skipped.
set -uo pipefail
cd "$(dirname "$0")/.."

passed=0 failed=0 skipped=0
log=$(mktemp)
failures=$(mktemp)
trap 'rm -f "$log" "$failures"' EXIT

# Adds the ok, not ok and skip lines of the log to the counts; the argument is the exit status of what wrote them.
count_marks() {
    local ok not_ok skip
    ok=$(grep -cE '^ok ' "$log" || true)
    not_ok=$(grep -cE '^not ok ' "$log" || true)
    skip=$(grep -cE '^skip ' "$log" || true)
    grep -E '^not ok ' "$log" >>"$failures" || true
    passed=$((passed + ok)) failed=$((failed + not_ok)) skipped=$((skipped + skip))
    if [ "$1" -ne 0 ] && [ "$not_ok" -eq 0 ]; then failed=$((failed + 1)); fi
}

echo "== check =="
if Scripts/check.sh; then passed=$((passed + 1)); else failed=$((failed + 1)); fi

echo "== unit and component tests (debug) =="
# One test at a time: a test that waits for sockets holds a thread of the pool the servers under test run on.
swift test --no-parallel 2>&1 | tee "$log"
unit_status=${PIPESTATUS[0]}
# Swift Testing marks each finished test; the counts come from the marks, the verdict also from the exit status. Names
# stand in quotes or end in parentheses, which tells them from the line about the whole run.
name=' +Test (".*"|[^ ]+\(.*\))( with [0-9]+ test cases?)?'
unit_passed=$(grep -cE "^[^ ]+$name passed after " "$log" || true)
unit_failed=$(grep -cE "^[^ ]+$name failed after " "$log" || true)
unit_skipped=$(grep -cE "^[^ ]+$name skipped" "$log" || true)
grep -E "^[^ ]+$name (failed after|recorded an issue)" "$log" >>"$failures" || true
passed=$((passed + unit_passed)) failed=$((failed + unit_failed)) skipped=$((skipped + unit_skipped))
if [ "$unit_status" -ne 0 ] && [ "$unit_failed" -eq 0 ]; then failed=$((failed + 1)); fi
if [ "$unit_passed" -eq 0 ]; then failed=$((failed + 1)); fi

echo "== end to end (release) =="
if swift build -c release --static-swift-stdlib --product invar &&
    swift build -c release --static-swift-stdlib --product pipeline-load; then
    python3 Tests/EndToEnd/run.py 2>&1 | tee "$log"
    count_marks "${PIPESTATUS[0]}"

    echo "== faults (release) =="
    python3 Tests/Faults/run.py 2>&1 | tee "$log"
    count_marks "${PIPESTATUS[0]}"
else
    failed=$((failed + 1))
fi

echo "== fuzzing (debug) =="
if swift build --product fuzz; then
    .build/debug/fuzz --seconds "${INVAR_FUZZ_SECONDS:-60}" 2>&1 | tee "$log"
    count_marks "${PIPESTATUS[0]}"
else
    failed=$((failed + 1))
fi

echo "== deployment =="
python3 Tests/Deploy/run.py 2>&1 | tee "$log"
deploy_status=${PIPESTATUS[0]}
deploy_passed=$(grep -cE '^ok ' "$log" || true)
deploy_failed=$(grep -cE '^not ok ' "$log" || true)
grep -E '^not ok ' "$log" >>"$failures" || true
deploy_skipped=$(grep -cE '^skip ' "$log" || true)
passed=$((passed + deploy_passed)) failed=$((failed + deploy_failed)) skipped=$((skipped + deploy_skipped))
if [ "$deploy_status" -ne 0 ] && [ "$deploy_failed" -eq 0 ]; then failed=$((failed + 1)); fi
if [ "$deploy_passed" -eq 0 ]; then failed=$((failed + 1)); fi

if [ -s "$failures" ]; then
    echo "== what failed =="
    cat "$failures"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
