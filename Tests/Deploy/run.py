#!/usr/bin/env python3
"""Checks what Deploy/ makes: charts and configurations for every environment, the package, the rotation of secrets.

Prints `ok NAME`, `not ok NAME: why` or `skip NAME: why` for each. Arguments choose cases by part of their name.
The packages of requirements.txt are looked for in .venv, which Scripts/install-dependencies.sh makes.
"""

import os
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = os.path.join(os.path.dirname(os.path.dirname(HERE)), ".venv", "bin", "python")
sys.path.insert(0, HERE)

try:
    import helm_python  # noqa: F401
    import kubernetes_validate  # noqa: F401
    import yaml  # noqa: F401
except ImportError as missing:
    if os.path.exists(PYTHON) and not os.environ.get("INVAR_DEPLOY_TESTS"):
        os.environ["INVAR_DEPLOY_TESTS"] = "1"
        os.execv(PYTHON, [PYTHON, os.path.abspath(__file__), *sys.argv[1:]])
    print(f"not ok packages: {missing.name} is missing, run `Scripts/install-dependencies.sh test`")
    sys.exit(1)

import cases_chart
import cases_configuration
import cases_deployment
import cases_explain
import cases_package
import cases_pipeline
import cases_secret
from binary import Skip
from manifests import Failure


def all_cases():
    for module in (cases_chart, cases_deployment, cases_configuration, cases_secret, cases_package, cases_pipeline, cases_explain):
        for name, case in list(vars(module).items()):
            if name.startswith("case_"):
                yield name.removeprefix("case_").replace("_", "-"), case


def main():
    failed = 0
    for name, case in all_cases():
        if len(sys.argv) > 1 and not any(part in name for part in sys.argv[1:]):
            continue
        start = time.monotonic()
        try:
            case()
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
