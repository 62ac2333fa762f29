"""That the pipeline benchmark finds nothing lost, and no cost far beyond what Docs/Performance.md says."""

import os
import sys

from harness import BINARY, ROOT, Skip, check

sys.path.insert(0, os.path.join(ROOT, "Benchmarks"))
os.environ.setdefault("INVAR_BINARY", BINARY)

import pipeline


def measure(scenario, ceiling):
    """Runs `scenario`; `ceiling` is CPU seconds per million samples, generous for slow and busy machines."""
    if not os.path.exists(pipeline.LOAD):
        raise Skip("pipeline-load is not built")
    result = pipeline.run(pipeline.Invar, scenario, network=200)
    print(f"# {result['cpu_per_million']:.2f} s CPU per million, {result['peak_mib']:.0f} MiB, "
          f"{pipeline.losses(result)}", flush=True)
    check(result["correct"] > 0, "nothing arrived")
    for kind in ("missing", "duplicates", "corrupt", "unwanted", "malformed"):
        check(result[kind] == 0, f"{result[kind]} samples {kind}")
    check(result["cpu_per_million"] < ceiling, f"{result['cpu_per_million']:.2f} s CPU per million samples")
    return result


def case_pipeline_loses_nothing_and_is_cheap(_):
    """Every value of 50 targets x 1,000 series arrives once, at a bounded cost."""
    result = measure(pipeline.Scenario("smoke", 50, 1000, seconds=5), ceiling=4)
    check(result["peak_mib"] < 200, f"{result['peak_mib']:.0f} MiB at most")


def case_pipeline_with_churn_ends_series_and_loses_nothing(_):
    """A tenth of the series are new at each scrape; those they replace get staleness markers."""
    result = measure(pipeline.Scenario("smoke-churn", 20, 1000, seconds=5, churn=10), ceiling=12)
    check(result["stale_markers"] >= result["scrapes"] * 50, f"{result['stale_markers']} staleness markers")


def case_pipeline_drops_what_rules_say_and_nothing_else(_):
    """A rule drops a fifth of the series; the others arrive."""
    measure(pipeline.Scenario("smoke-drop", 20, 1000, seconds=5, drops=True), ceiling=6)
