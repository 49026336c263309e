# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Starting a workflow run of Amperity."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_ingestjobs import clock
from airflow_provider_ingestjobs.arguments import to_utc
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.hooks.records import as_text
from airflow_provider_ingestjobs.starts.request import AHEAD, MOMENT, Found, check_choice

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.amperity_workflow import AmperityWorkflowHook

#: Schema ``WorkflowRunRequest`` of Amperity's OpenAPI document.
RUN_MODES = ("full", "refresh", "source")
#: Who starts a workflow by its schedule, by the description of ``principal_name`` there.
SCHEDULE = "Automated workflow"


@dataclass(frozen=True)
class WorkflowRun:
    """A run of a courier group, an orchestration group or a campaign.

    No answer of Amperity's names the group of a run, so that after a lost answer only the run's name tells it
    from the tenant's others.

    :param hook: the hook.
    :param config_id: the id of the group or campaign.
    :param range_from: the first day of its files, ISO 8601.
    :param range_to: the last one.
    :param run_mode: Amperity's word for it.
    :param workflow_name: the name that its runs have, if it is known.
    """

    hook: AmperityWorkflowHook
    config_id: str
    range_from: str | None
    range_to: str | None
    run_mode: str | None
    workflow_name: str | None

    @property
    def content(self) -> Any:
        """What is sent."""
        return [self.config_id, self.range_from, self.range_to, self.run_mode]

    def send(self) -> list[str]:
        """Ask for the run."""
        run = self.hook.start_workflow(
            self.config_id, range_from=self.range_from, range_to=self.range_to, run_mode=self.run_mode
        )
        name = as_text(run.get("name"))
        if self.workflow_name not in (None, name):
            self.hook.log.warning(
                "The run is called %r, not %r as workflow_name says: after a lost answer it would be started "
                "again",
                name,
                self.workflow_name,
            )
        run_id = as_text(run.get("id"))
        return [run_id] if run_id else []

    def find(self, since: datetime) -> Found:
        """Return the runs of this name that were created since then; without a name, all of them."""
        runs = list(self.hook.list_jobs(since, clock.now() + AHEAD))
        if self.workflow_name is None:
            return Found(possible=runs)
        runs = [run for run in runs if run.name == self.workflow_name]
        certain = [run for run in runs if run.details["principal_name"] != SCHEDULE]
        return Found(certain, [run for run in runs if run not in certain])

    def __str__(self) -> str:
        days = f", {self.range_from} to {self.range_to or self.range_from}" if self.range_from else ""
        return f"a run of {self.config_id}{days}"


def check_config_id(value: Any) -> str:
    """Return the id of what is run.

    :param value: what was given, rendered.
    :raises InvalidInput: if it is none.
    """
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput("config_id", value, "copy it from the menu of the group, such as cg-123ABc4DE")
    return value.strip()


def check_run_mode(value: Any) -> str | None:
    """Return Amperity's word for a run mode; ``None`` if none was given.

    :param value: what was given, rendered.
    :raises InvalidInput: for another word.
    """
    return None if value is None else check_choice("run_mode", value, RUN_MODES)


def check_range(start: Any, end: Any) -> tuple[str | None, str | None]:
    """Return both ends of a range as Amperity takes them; ``None`` for one that was not given.

    :param start: its start, rendered.
    :param end: its end, exclusive, rendered.
    :raises InvalidInput: for what is no moment, an end without a start, and an end that is not after it.
    """
    if start is None:
        if end is not None:
            raise InvalidInput("range_from", None, "Amperity needs it where range_to is given")
        return None, None
    first = to_utc("range_from", start)
    if end is None:
        return first.strftime(MOMENT), None
    last = to_utc("range_to", end)
    if last <= first:
        raise InvalidInput("range_to", str(end), f"it is not after range_from, {start}")
    return first.strftime(MOMENT), last.strftime(MOMENT)
