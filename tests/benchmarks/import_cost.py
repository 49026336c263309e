# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a DAG file pays for importing all sensors and operators of this package.

Alternating fresh processes import Airflow's own base classes, alone and with this package's. The figure
is the CPU time of the second over that of the first, the median of many pairs.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from statistics import median

PAIRS = 15
BASE = "from airflow.sdk import DAG, BaseOperator, BaseSensorOperator, BaseHook"
OURS = "\n".join(
    [
        BASE,
        "from airflow_provider_ingestjobs.vendors import VENDORS as vendors",
        "from importlib import import_module",
        "for vendor in vendors:",
        "    import_module('airflow_provider_ingestjobs.sensors.' + vendor.module)",
        "    import_module('airflow_provider_ingestjobs.operators.' + vendor.module)",
    ]
)


def cpu_seconds(code: str, environment: dict[str, str]) -> float:
    """Return the CPU time of a fresh interpreter that runs some code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="ingestjobs-bench-") as home:
        environment = {**os.environ, "AIRFLOW_HOME": home}
        # The first of each compiles, and creates Airflow's configuration.
        for code in (BASE, OURS):
            cpu_seconds(code, environment)
        base, ours = [], []
        for _ in range(PAIRS):
            base.append(cpu_seconds(BASE, environment))
            ours.append(cpu_seconds(OURS, environment))
    ratio = median(with_us / alone for alone, with_us in zip(base, ours, strict=True))
    print(f"Airflow's base classes: {median(base):.3f} s of CPU (median)")
    print(f"with all our sensors and operators: {median(ours):.3f} s")
    print(f"{ratio - 1:+.1%} (median of {PAIRS} pairs; aimed at: at most +5 %)")


if __name__ == "__main__":
    main()
