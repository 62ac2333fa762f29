#!/usr/bin/env bash
# Builds invar, starts a Prometheus on loopback as destination, runs the first pipeline and shows its first result.
# Ctrl-C stops both. INVAR_RUN_SECONDS stops after that time, for tests.
set -euo pipefail
cd "$(dirname "$0")/.."

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

echo "Building invar (the first time takes some minutes)."
swift build -c release --static-swift-stdlib --product invar

state=$(mktemp -d)
prometheus_port=$(free_port)
invar_port=${INVAR_PORT:-12345}
mkdir -p "$state/prometheus" "$state/invar" "$state/logs"
printf 'global: {}\n' >"$state/prometheus.yml"

prometheus --config.file="$state/prometheus.yml" --storage.tsdb.path="$state/prometheus" \
    --web.listen-address="127.0.0.1:$prometheus_port" --web.enable-remote-write-receiver \
    >"$state/prometheus.log" 2>&1 &
prometheus_pid=$!

export PROMETHEUS_URL="http://127.0.0.1:$prometheus_port/api/v1/write"
export LOG_DIRECTORY=${LOG_DIRECTORY:-/var/log}
.build/release/invar run Examples/first-light.alloy --storage.path="$state/invar" \
    --server.http.listen-addr="127.0.0.1:$invar_port" 2>"$state/invar.log" &
invar_pid=$!

stop() {
    trap - EXIT INT TERM
    kill "$invar_pid" 2>/dev/null || true
    wait "$invar_pid" 2>/dev/null || true
    kill "$prometheus_pid" 2>/dev/null || true
    wait "$prometheus_pid" 2>/dev/null || true
    rm -rf "$state"
}
trap stop EXIT
trap 'exit 130' INT TERM

echo "Waiting for the first samples to arrive."
query="http://127.0.0.1:$prometheus_port/api/v1/query"
result=
for _ in $(seq 1 240); do
    if ! kill -0 "$invar_pid" 2>/dev/null; then
        echo "invar stopped; its log:" >&2
        cat "$state/invar.log" >&2
        exit 1
    fi
    result=$(curl -fsS --get "$query" --data-urlencode 'query=node_load1' 2>/dev/null || true)
    case $result in *'"value"'*) break ;; esac
    result=
    read -r -t 0.25 <> <(:) || true
done
if [ -z "$result" ]; then
    echo "No sample arrived within a minute; the log of invar:" >&2
    cat "$state/invar.log" >&2
    exit 1
fi

cat <<TEXT

First query, node_load1: $result

  invar        http://127.0.0.1:$invar_port           components and their books
  invar        http://127.0.0.1:$invar_port/metrics   its own metrics
  Prometheus   http://127.0.0.1:$prometheus_port      what arrived: try the query rate(node_cpu_seconds_total[1m])
  log lines of $LOG_DIRECTORY/*.log are printed below as they come

Ctrl-C stops everything.
TEXT

if [ -n "${INVAR_RUN_SECONDS:-}" ]; then
    read -r -t "$INVAR_RUN_SECONDS" <> <(:) || true
else
    wait "$invar_pid"
fi
