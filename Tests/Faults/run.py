#!/usr/bin/env python3
"""Breaks what can break around the built program (its process, its files, its disk, its receivers) and counts.

Prints `ok NAME`, `not ok NAME: why` or `skip NAME: why` for each case. Arguments choose cases by part of their name.
INVAR_LONG=1 runs the long forms; INVAR_SEED repeats the random choices of a run.
"""

import os
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "EndToEnd"))

import cases_crash
import cases_disk
import cases_memory
import cases_receiver
from harness import BINARY, Directory, Failure, Skip


def all_cases():
    for module in (cases_crash, cases_disk, cases_receiver, cases_memory):
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
                keep(directory, name)
            except Exception:
                failed += 1
                print(f"not ok {name}: unexpected error\n{traceback.format_exc()}", flush=True)
                keep(directory, name)
    return 1 if failed else 0


def keep(directory, name):
    """With INVAR_KEEP=DIRECTORY the log of a failed case is copied there."""
    where = os.environ.get("INVAR_KEEP")
    log = os.path.join(directory, "invar.log")
    if where and os.path.exists(log):
        import shutil

        os.makedirs(where, exist_ok=True)
        shutil.copy(log, os.path.join(where, name + ".log"))


if __name__ == "__main__":
    sys.exit(main())
