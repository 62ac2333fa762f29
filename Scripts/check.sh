#!/usr/bin/env bash
# Formatting of the sources: prints what differs and fails when anything does.
set -euo pipefail
cd "$(dirname "$0")/.."
swift format lint --strict --recursive --parallel Sources Plugins Tests Fuzz Benchmarks Package.swift
python3 Scripts/check-modules.py
for script in Scripts/*.sh Deploy/*/*.sh .ci/run; do bash -n "$script"; done
echo "check: formatting, module arrows and scripts are in order"
