#!/usr/bin/env bash
# Micro benchmarks of the codecs, in release: CPU time per sample.
set -euo pipefail
cd "$(dirname "$0")/.."
for benchmark in exposition-benchmark remote-write-benchmark; do
    echo "== $benchmark =="
    swift run -c release --static-swift-stdlib "$benchmark"
done
