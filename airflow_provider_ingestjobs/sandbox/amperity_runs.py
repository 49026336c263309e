# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""The workflow runs of the sandbox's Amperity that were started through its API."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs.sandbox.amperity_tables import vendor_id
from airflow_provider_ingestjobs.sandbox.job_store import JobStore, SandboxJob, as_timeline
from airflow_provider_ingestjobs.sandbox.starts import add_planned
from airflow_provider_ingestjobs.sandbox.vendor import parse_time

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.sandbox.starts import StartPlan
    from airflow_provider_ingestjobs.sandbox.vendor import VendorApi

RUN_MODES = ("full", "refresh", "source")
_FIELDS = ("config_id", "range_from", "range_to", "run_mode")
COURIER_GROUP = "cg-"
#: The type of a run by what its configuration's id begins with, as their samples show them.
_TYPES = {
    COURIER_GROUP: "courier.group/run",
    "og-": "amperity.orchestration.orchestration/run",
    "cc-": "campaign.send",
}
#: Whom a run started with the sandbox's key or client belongs to.
PRINCIPAL = {
    "principal_id": "sandbox-api-key",
    "principal_name": "Sandbox API key",
    "principal_email": "api-key@example.com",
}


@dataclass(frozen=True)
class RunRequest:
    """A WorkflowRunRequest.

    :param config_id: what to run.
    """

    config_id: str

    @classmethod
    def parse(cls, body: Any) -> RunRequest:
        """Return the request that a body makes.

        :param body: the body, as JSON.
        :raises ValueError: if their document does not allow it.
        """
        if not isinstance(body, dict):
            raise ValueError("The body must be a JSON object")
        unknown = sorted(set(body) - set(_FIELDS))
        if unknown:
            raise ValueError(f"Unknown property {', '.join(unknown)}")
        config_id = body.get("config_id")
        if not isinstance(config_id, str) or config_id[:3] not in _TYPES or not config_id[3:]:
            # What an unknown configuration answers is not documented: their document has no 404 here.
            raise ValueError("config_id must be the id of a courier group, orchestration group or campaign")
        if len(body) > 1 and not config_id.startswith(COURIER_GROUP):
            raise ValueError("range_from, range_to and run_mode are for courier groups only")
        if body.get("run_mode", "full") not in RUN_MODES:
            raise ValueError(f"run_mode must be one of {', '.join(RUN_MODES)}")
        for name in ("range_from", "range_to"):
            try:
                parse_time(body.get(name, "2026-10-01"))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{name} must be an ISO 8601 timestamp") from error
        if "range_to" in body and "range_from" not in body:
            raise ValueError("range_from is required when range_to is given")
        return cls(config_id)

    @property
    def type(self) -> str:
        """The type of the run."""
        return _TYPES[self.config_id[:3]]

    @property
    def name(self) -> str:
        """The name that all runs of the group have."""
        return f"Group {self.config_id[3:]}"

    @property
    def loads(self) -> int:
        """How many ingest jobs a run has if nothing is planned: only courier groups load anything."""
        return 1 if self.config_id.startswith(COURIER_GROUP) else 0


class StartedRuns:
    """The started runs, each of which is in its own store what a job is in the vendor's.

    A run goes through its plan's states by itself; as soon as it shows ingest jobs, theirs are its own.

    :param api: the vendor.
    """

    def __init__(self, api: VendorApi) -> None:
        self._api = api
        self._store = JobStore(api.take_step)

    def reset(self) -> None:
        """Forget every run."""
        self._store = JobStore(self._api.take_step)

    @property
    def ids(self) -> list[str]:
        """The ids of all runs, oldest first."""
        return list(self._store.all)

    def start(self, asked: RunRequest, now: float) -> SandboxJob:
        """Start a run as planned, with its ingest jobs, and return it.

        :param asked: the request.
        :param now: seconds since the epoch.
        """
        plan = self._api.starts.next_plan(self._api.start_timeline)
        fields = deepcopy(plan.fields or {})
        loads = int(fields.pop("loads", asked.loads))
        number = self._store.next_number()
        version = vendor_id("etv", number, now)
        run = SandboxJob(
            id=vendor_id("wf", number, now),
            number=number,
            timeline=_timeline(plan),
            fields={
                "workflow": {
                    "type": asked.type,
                    "name": asked.name,
                    **PRINCIPAL,
                    "launched_version": version,
                    "current_version": version,
                    **fields.pop("workflow", {}),
                },
                "attribution": fields.get("attribution", "customer"),
            },
            failure=plan.failure,
            cancel_state=plan.cancel_state,
        )
        self._store.add(run, now, plan.list_lag)
        self._api.starts.ids.append(run.id)
        of_job = replace(plan, fields={**fields, "workflow_id": run.id})
        for _ in range(loads):
            add_planned(self._api, of_job, {})
        return run

    def get(self, workflow_id: str, now: float) -> SandboxJob | None:
        """Return a run as of now, or None if none of this id was started.

        :param workflow_id: its id.
        :param now: seconds since the epoch.
        """
        self._store.advance(now)
        return self._store.get(workflow_id, now)

    def stop(self, run: SandboxJob, now: float) -> None:
        """Stop a run, but not its ingest jobs.

        :param run: the run.
        :param now: seconds since the epoch.
        """
        if run.is_ended:
            return
        last = {"state": run.cancel_state or self._api.cancel_state}
        first = {"state": "stopping", "cancel_asked": True}
        self._store.replan(run, [(now, first), (now + self._api.cancel_delay, last)], now)


def _timeline(plan: StartPlan) -> list[tuple[float, dict[str, Any]]]:
    """Return what a run goes through by itself: it is there from its start on, whenever its jobs are."""
    steps = [
        (at, {key: value for key, value in step.items() if key in {"state", "failure"}})
        for at, step in as_timeline(plan.timeline)
    ]
    return steps if steps[0][0] <= 0 else [(0.0, {"state": "scheduled"}), *steps]
