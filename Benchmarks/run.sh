#!/usr/bin/env bash
# Builds in release and measures: the whole program from targets to remote write and from log files to Loki, then the
# codecs, the ledger and the queue. Usage: run.sh [pipeline|logs|codecs] [arguments of pipeline.py or logs-benchmark]
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-all}
[ $# -gt 0 ] && shift
if [ "$what" = all ] || [ "$what" = pipeline ]; then
    swift build -c release --static-swift-stdlib --product invar
    swift build -c release --static-swift-stdlib --product pipeline-load
    echo "== pipeline: targets to remote write =="
    Benchmarks/pipeline.py "$@"
fi
if [ "$what" = all ] || [ "$what" = logs ]; then
    swift build -c release --static-swift-stdlib --product invar
    swift build -c release --static-swift-stdlib --product logs-benchmark
    echo "== logs: files to Loki =="
    .build/release/logs-benchmark .build/release/invar "$@"
fi
if [ "$what" = all ] || [ "$what" = codecs ]; then
    for benchmark in exposition-benchmark remote-write-benchmark loki-process-benchmark reliability-benchmark; do
        echo "== $benchmark =="
        swift run -c release --static-swift-stdlib "$benchmark"
    done
fi
