#!/usr/bin/env bash
# Builds invar, runs the first pipeline and shows its first value. What it collects is kept for the console; where a Prometheus is
# installed, one is started on loopback and gets the metrics too.
# Ctrl-C stops everything. INVAR_RUN_SECONDS stops after that time, for tests.
set -euo pipefail
cd "$(dirname "$0")/.."

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

echo "Building invar (the first time takes some minutes)."
swift build -c release --static-swift-stdlib --product invar

state=$(mktemp -d)
invar_port=${INVAR_PORT:-12345}
mkdir -p "$state/invar"
configuration=Examples/first-light.alloy
prometheus_pid=

if command -v prometheus >/dev/null; then
    configuration=Examples/first-light-prometheus.alloy
    prometheus_port=$(free_port)
    mkdir -p "$state/prometheus"
    printf 'global: {}\n' >"$state/prometheus.yml"
    prometheus --config.file="$state/prometheus.yml" --storage.tsdb.path="$state/prometheus" \
        --web.listen-address="127.0.0.1:$prometheus_port" --web.enable-remote-write-receiver \
        >"$state/prometheus.log" 2>&1 &
    prometheus_pid=$!
    export PROMETHEUS_URL="http://127.0.0.1:$prometheus_port/api/v1/write"
fi

export LOG_DIRECTORY=${LOG_DIRECTORY:-/var/log}
.build/release/invar run "$configuration" --storage.path="$state/invar" \
    --server.http.listen-addr="127.0.0.1:$invar_port" 2>"$state/invar.log" &
invar_pid=$!

stop() {
    trap - EXIT INT TERM
    kill "$invar_pid" 2>/dev/null || true
    wait "$invar_pid" 2>/dev/null || true
    if [ -n "$prometheus_pid" ]; then
        kill "$prometheus_pid" 2>/dev/null || true
        wait "$prometheus_pid" 2>/dev/null || true
    fi
    rm -rf "$state"
}
trap stop EXIT
trap 'exit 130' INT TERM

echo "Waiting for the first samples to arrive."
console="http://127.0.0.1:$invar_port"
query="$console/api/v0/component/invar.recent.console/series"
result=
for _ in $(seq 1 240); do
    if ! kill -0 "$invar_pid" 2>/dev/null; then
        echo "invar stopped; its log:" >&2
        cat "$state/invar.log" >&2
        exit 1
    fi
    result=$(curl -fsS --get "$query" --data-urlencode 'match=node_load1' 2>/dev/null || true)
    case $result in *'"last":['*) break ;; esac
    result=
    read -r -t 0.25 <> <(:) || true
done
if [ -z "$result" ]; then
    echo "No sample arrived within a minute; the log of invar:" >&2
    cat "$state/invar.log" >&2
    exit 1
fi

cat <<TEXT

First value, node_load1: $result

  console      $console           the pipeline, its data and its losses
  plots, logs  $console/explore?match=node_load1
  metrics      $console/metrics   invar's own
  OTLP         http://${OTLP_ENDPOINT:-127.0.0.1:4318}   what OpenTelemetry clients send there is shown under Explore, too
TEXT
if [ -n "$prometheus_pid" ]; then
    echo "  Prometheus   http://127.0.0.1:$prometheus_port   the metrics as well: try the query rate(node_cpu_seconds_total[1m])"
fi
printf '\nCtrl-C stops everything.\n'

if [ -n "${INVAR_RUN_SECONDS:-}" ]; then
    read -r -t "$INVAR_RUN_SECONDS" <> <(:) || true
else
    wait "$invar_pid"
fi
