# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Run the sandbox from the command line."""

from __future__ import annotations

import argparse
import pkgutil
import shlex
import signal
import threading

from airflow_provider_ingestjobs.sandbox.sandbox import VENDORS, Sandbox
from airflow_provider_ingestjobs.sandbox.vendor import VendorApi


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_ingestjobs.sandbox",
        description="A local stand-in for Amperity, Adverity, Imply Polaris and Narrative.",
    )
    parser.add_argument(
        "--port", type=int, default=8099, help="port on 127.0.0.1, 0 for a free one (default: 8099)"
    )
    parser.add_argument("--demo", action="store_true", help="start with a small set of jobs with fixed ids")
    parser.add_argument(
        "--vendor",
        action="append",
        type=_vendor,
        metavar="CLASS.PATH",
        help="serve this VendorApi subclass instead of the four; may be repeated",
    )
    options = parser.parse_args(arguments)
    vendors: list[type[VendorApi]] = options.vendor or list(VENDORS)

    try:
        sandbox = Sandbox(port=options.port, demo=options.demo, vendors=vendors)
    except ValueError as error:
        parser.error(str(error))
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.set())
    try:
        sandbox.start()
    except OSError as error:
        place = f"127.0.0.1:{options.port}"
        parser.exit(1, f"cannot listen on {place}: {error.strerror}. Choose another port with --port\n")
    try:
        print(f"The sandbox answers at {sandbox.url}; see {sandbox.url}/_sandbox. Ctrl-C ends it.")
        print("Connections for Airflow:\n")
        for name, value in sandbox.connection_env().items():
            print(f"export {name}={shlex.quote(value)}")
        if options.demo:
            print("\nJobs, each starting when first read:\n")
            for vendor in vendors:
                for job in vendor.demo_jobs:
                    print(f"{vendor.name:<10} {job.job_id:<37} {job.shows}")
        print(flush=True)
        stopped.wait()
    except KeyboardInterrupt:
        pass
    finally:
        sandbox.stop()
    return 0


def _vendor(path: str) -> type[VendorApi]:
    try:
        found = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"cannot import {path}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, VendorApi)):
        raise argparse.ArgumentTypeError(f"{path} is not a subclass of VendorApi")
    return found


if __name__ == "__main__":
    raise SystemExit(main())
