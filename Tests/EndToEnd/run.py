#!/usr/bin/env python3
"""Runs the built program against real servers, case by case.

Prints `ok NAME`, `not ok NAME: why` or `skip NAME: why` for each. Arguments choose cases by part of their name.
INVAR_LONG=1 runs the long forms.
"""

import os
import sys
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import cases_balancing
import cases_console
import cases_console_data
import cases_derived
import cases_docker
import cases_explain
import cases_explore
import cases_kubernetes
import cases_logs
import cases_metrics
import cases_otel
import cases_otel_logs
import cases_outputs
import cases_performance
import cases_program
import cases_protocols
from harness import BINARY, Directory, Failure, Skip


def all_cases():
    for module in (
        cases_program, cases_metrics, cases_performance, cases_logs, cases_otel, cases_otel_logs, cases_protocols,
        cases_derived, cases_outputs, cases_balancing, cases_kubernetes, cases_docker,
        cases_console, cases_console_data, cases_explain, cases_explore,
    ):
        for name, case in list(vars(module).items()):
            if name.startswith("case_"):
                yield name.removeprefix("case_").replace("_", "-"), case


def main():
    if not os.path.exists(BINARY):
        print(f"not ok build: {BINARY} is missing, build it with `make release`")
        return 1
    failed = 0
    for name, case in all_cases():
        if len(sys.argv) > 1 and not any(part in name for part in sys.argv[1:]):
            continue
        start = time.monotonic()
        with Directory() as directory:
            try:
                case(directory)
                print(f"ok {name} ({time.monotonic() - start:.1f} s)", flush=True)
            except Skip as reason:
                print(f"skip {name}: {reason}", flush=True)
            except Failure as failure:
                failed += 1
                print(f"not ok {name}: {failure}", flush=True)
            except Exception:
                failed += 1
                print(f"not ok {name}: unexpected error\n{traceback.format_exc()}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
