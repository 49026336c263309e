# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Which vendor of a sandbox a request is meant for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox.vendor import VendorApi


def by_name(vendors: list[VendorApi]) -> dict[str, VendorApi]:
    """Return the vendors by name, each of them sure to get the requests that are meant for it.

    :param vendors: the vendors of one sandbox.
    :raises ValueError: if two of them would answer the same path or have the same name.
    """
    if not vendors:
        raise ValueError("vendors is empty; name at least one VendorApi subclass, or leave it out for ours")
    named: dict[str, VendorApi] = {}
    for vendor in vendors:
        for name in {vendor.name, vendor.conn_type}:
            other = next((api for api in named.values() if name in (api.name, api.conn_type)), None)
            if other is not None:
                classes = f"{type(other).__name__} and {type(vendor).__name__}"
                raise ValueError(f"{classes} are both called {name!r}; give one of them a sandbox of its own")
        named[vendor.name] = vendor
    for vendor in vendors:
        for path in vendor.sample_paths():
            if not vendor.owns_path.match(path):
                raise ValueError(f"{vendor.name} has a route {path} that its owns_path does not match")
            for other in vendors:
                if other is not vendor and other.owns_path.match(path):
                    raise ValueError(
                        f"{vendor.name} and {other.name} both answer {path}; give one of them a sandbox of "
                        f"its own, such as Sandbox(vendors=[{type(vendor).__name__}])"
                    )
    return named
