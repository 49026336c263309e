# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Assets' addresses, and what tasks tell of the assets that they update."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from airflow.providers_manager import ProvidersManager

from airflow_provider_ingestjobs import get_provider_info
from airflow_provider_ingestjobs.airflow_compat import AIRFLOW_3, AirflowException
from airflow_provider_ingestjobs.assets import ADDRESSES, check_uri
from airflow_provider_ingestjobs.sandbox import Sandbox
from support.task_runs import TaskInstance, defer, fire
from support.vendors import AMPERITY, VENDORS

if TYPE_CHECKING:
    from support.connections import Connections

if TYPE_CHECKING or AIRFLOW_3:
    from airflow.sdk import Asset
else:
    from airflow.datasets import Dataset as Asset

VALID = (
    "amperity://acme/df-5L6d1veh",
    "amperity://acme/Unified%20Customers",
    "adverity://acme.datatap.adverity.com/42",
    "imply-polaris://5f1b1f2e-52a3-4c0e-9d6b-0d6a3f0c9a10/Events",
    "narrative://acme/10674",
)
INVALID = (
    "amperity://acme",
    "amperity://acme/",
    "amperity:///df-1",
    "adverity:42",
    "imply-polaris://",
    "narrative:/1",
)


def scheme_of(conn_type: str) -> str:
    return conn_type.replace("_", "-")


class TestAddresses:
    def test_every_vendor_has_one(self) -> None:
        assert set(ADDRESSES) == {scheme_of(case.conn_type) for case in VENDORS}

    @pytest.mark.parametrize("uri", VALID)
    def test_valid(self, uri: str) -> None:
        assert check_uri(urlsplit(uri)).geturl() == uri
        assert Asset(uri).uri == uri

    @pytest.mark.parametrize("uri", INVALID)
    def test_invalid(self, uri: str) -> None:
        scheme = uri.partition(":")[0]
        said = f"write {scheme}://<{ADDRESSES[scheme][0]}>/<{ADDRESSES[scheme][1]}>"
        with pytest.raises(ValueError, match=said):
            check_uri(urlsplit(uri))
        if not AIRFLOW_3:
            with pytest.warns(UserWarning, match=said):
                Asset(uri)
        else:
            with pytest.raises(ValueError, match=said):
                Asset(uri)

    @pytest.mark.filterwarnings("ignore:ProvidersManager.asset_uri_handlers is deprecated")
    def test_airflow_knows_the_handler_from_the_provider_s_info(self) -> None:
        manager = ProvidersManager()  # type: ignore[no-untyped-call]  # Airflow leaves it untyped
        handlers = manager.asset_uri_handlers if AIRFLOW_3 else manager.dataset_uri_handlers
        assert {scheme: handlers.get(scheme) for scheme in ADDRESSES} == dict.fromkeys(ADDRESSES, check_uri)

    def test_the_info_of_every_scheme_is_for_airflow_2_and_3(self) -> None:
        info = get_provider_info()
        assert info["asset-uris"] == info["dataset-uris"]
        assert {scheme for row in info["asset-uris"] for scheme in row["schemes"]} == set(ADDRESSES)


def outlet_events() -> Any:
    if not AIRFLOW_3:
        from airflow.utils.context import OutletEventAccessors as OutletEventAccessors2

        return OutletEventAccessors2()
    from airflow.sdk.execution_time.context import OutletEventAccessors

    return OutletEventAccessors()


class TestOutlets:
    ASSETS = (Asset("amperity://acme/df-1"), Asset("amperity://acme/df-2"))

    @pytest.fixture(params=["poke", "deferred"])
    def run(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
        """Run a sensor and return the events of its outlets, as Airflow keeps them with the asset's event."""
        monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "0")
        monkeypatch.setattr("airflow_provider_ingestjobs.triggers.watch.NEW_WAITS_DELAY", 0.02)
        deferred = request.param == "deferred"

        def run(sensor: Any, events: Any) -> Any:
            context = {"ti": TaskInstance(), "outlet_events": events}
            if not deferred:
                return sensor.execute(context)
            import asyncio

            sensor.deferrable = True
            event = asyncio.run(fire(defer(sensor)))
            return sensor.resume_execution("execute_complete", {"event": event}, context)

        return run

    def sensor(self, job_id: Any, **more: Any) -> Any:
        more = {"outlets": list(self.ASSETS), **more}
        return AMPERITY.sensor(task_id="wait", job_id=job_id, poke_interval=0.1, timeout=15, **more)

    def test_their_events_get_the_jobs_summary(
        self, sandbox: Sandbox, connections: Connections, run: Callable[..., Any]
    ) -> None:
        connections.add("amperity", extra={"requests_per_second": 1000})
        ids = [
            sandbox.add_job("amperity", timeline=[(0, "succeeded")], rows={"read": read}) for read in (10, 20)
        ]
        events = outlet_events()
        events[self.ASSETS[0]].extra = {"team": "marketing"}
        run(self.sensor(ids), events)
        extras = [json.loads(json.dumps(events[asset].extra)) for asset in self.ASSETS]
        assert extras[0] == {"team": "marketing", **extras[1]}
        told = extras[1]["ingest_jobs"]
        assert [(job["vendor"], job["id"], job["state"]) for job in told] == [
            ("Amperity", job_id, "succeeded") for job_id in ids
        ]
        assert [job["rows"]["read"] for job in told] == [10, 20]
        assert all(job["ended_at"] and job["target"] == "Customers" and "url" in job for job in told)
        assert "details" not in told[0]

    @pytest.mark.skipif(not AIRFLOW_3, reason="Airflow 2 has events for whatever is an outlet")
    def test_an_outlet_that_is_no_asset_has_no_events(
        self, sandbox: Sandbox, connections: Connections, run: Callable[..., Any]
    ) -> None:
        connections.add("amperity", extra={"requests_per_second": 1000})
        events = outlet_events()
        # Such as OpenLineage's `File`.
        outlets = [object(), *self.ASSETS]
        run(self.sensor(sandbox.add_job("amperity", timeline=[(0, "succeeded")]), outlets=outlets), events)
        assert [len(events[asset].extra["ingest_jobs"]) for asset in self.ASSETS] == [1, 1]

    def test_a_failed_job_tells_nothing(
        self, sandbox: Sandbox, connections: Connections, run: Callable[..., Any]
    ) -> None:
        connections.add("amperity", extra={"requests_per_second": 1000})
        events = outlet_events()
        with pytest.raises(AirflowException):
            run(self.sensor(sandbox.add_job("amperity", timeline=[(0, "failed")])), events)
        assert len(events) == 0

    def test_no_outlets_no_events(
        self, sandbox: Sandbox, connections: Connections, run: Callable[..., Any]
    ) -> None:
        connections.add("amperity", extra={"requests_per_second": 1000})
        events = outlet_events()
        job_id = sandbox.add_job("amperity", timeline=[(0, "succeeded")])
        assert run(self.sensor(job_id, outlets=[]), events)
        assert len(events) == 0


def test_no_address_of_ours_warns_that_nobody_checks_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for uri in VALID:
            Asset(uri)
