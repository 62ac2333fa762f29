#!/usr/bin/env bash
# Builds in release and measures: the whole program from targets to remote write, from log files to Loki, from OTLP to
# OTLP, the node's own exporters and a large cluster, then the codecs, the ledger, the queue and statements.
# Usage: run.sh [pipeline|logs|otlp|exporters|kubernetes|codecs] [arguments]
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
if [ "$what" = all ] || [ "$what" = otlp ]; then
    swift build -c release --static-swift-stdlib --product invar
    echo "== otlp: OTLP to OTLP =="
    python=.venv/bin/python
    [ -x "$python" ] || python=python3
    "$python" Benchmarks/otlp.py "$@"
fi
if [ "$what" = all ] || [ "$what" = exporters ]; then
    swift build -c release --static-swift-stdlib --product invar
    echo "== exporters: the node and its containers =="
    if [ "$(id -u)" = 0 ]; then Benchmarks/exporters.py "$@"; else echo "left out: making control groups needs root"; fi
fi
if [ "$what" = all ] || [ "$what" = kubernetes ]; then
    swift build -c release --static-swift-stdlib --product invar
    echo "== kubernetes: a large cluster and many logs =="
    Benchmarks/kubernetes.py "$@"
fi
if [ "$what" = all ] || [ "$what" = codecs ]; then
    for benchmark in exposition-benchmark remote-write-benchmark loki-process-benchmark reliability-benchmark \
        ottl-benchmark codecs-benchmark; do
        echo "== $benchmark =="
        swift run -c release --static-swift-stdlib "$benchmark"
    done
fi
