# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Jobs that the vendor answers 404 for, though they run already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.sandbox import Sandbox

if TYPE_CHECKING:
    from support.sandbox_clients import Client, Clock

TIMELINE = [(0, "pending"), (2, "running"), (9, "completed")]


def seen(narrative: Client, job: str) -> tuple[str | None, list[str]]:
    """Return the job's state as a read by its id and as the list show it."""
    answer = narrative.get(f"/jobs/{job}")
    assert answer.status_code in (200, 404)
    state = answer.json()["state"] if answer.ok else None
    return state, [record["state"] for record in narrative.read("/jobs")["records"]]


def test_the_timeline_runs_before_the_vendor_knows_the_job(
    sandbox: Sandbox, narrative: Client, clock: Clock
) -> None:
    sandbox.add_job("narrative", "prompt", timeline=TIMELINE)
    sandbox.add_job("narrative", "late", timeline=TIMELINE, known_after=5)
    clock.advance(4)
    assert seen(narrative, "late") == (None, ["running"])
    clock.advance(1)
    assert seen(narrative, "late") == ("running", ["running", "running"])
    stamps = ("created_at", "updated_at")
    late, prompt = (narrative.read(f"/jobs/{job}") for job in ("late", "prompt"))
    assert [late[name] for name in stamps] == [prompt[name] for name in stamps]
    clock.advance(4)
    assert seen(narrative, "late")[0] == "completed"


def test_a_past_timeline_does_not_make_it_known(sandbox: Sandbox, narrative: Client, clock: Clock) -> None:
    sandbox.add_job("narrative", "late", timeline=[(-60, "running"), (-9, "completed")], known_after=3)
    assert seen(narrative, "late") == (None, [])
    clock.advance(3)
    assert seen(narrative, "late") == ("completed", ["completed"])


def test_lists_may_lag_behind_that(sandbox: Sandbox, narrative: Client, clock: Clock) -> None:
    sandbox.add_job("narrative", "late", timeline=TIMELINE, known_after=5, list_lag=3)
    clock.advance(5)
    assert seen(narrative, "late") == ("running", [])
    clock.advance(3)
    assert seen(narrative, "late") == ("running", ["running"])


def test_the_first_read_may_start_it(sandbox: Sandbox, narrative: Client, clock: Clock) -> None:
    sandbox.add_job("narrative", "late", timeline=TIMELINE, known_after=5, starts="first_read")
    clock.advance(100)
    assert seen(narrative, "late") == (None, [])
    clock.advance(5)
    assert seen(narrative, "late") == ("running", ["running"])


def test_a_state_that_is_set_does_not_make_it_known(
    sandbox: Sandbox, narrative: Client, clock: Clock
) -> None:
    sandbox.add_job("narrative", "late", timeline=TIMELINE, known_after=5, list_lag=3)
    clock.advance(4)
    sandbox.set_state("narrative", "late", "failed")
    assert seen(narrative, "late") == (None, [])
    clock.advance(1)
    assert seen(narrative, "late") == ("failed", [])
    clock.advance(3)
    assert seen(narrative, "late") == ("failed", ["failed"])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_it_is_a_number_of_seconds(sandbox: Sandbox, value: Any) -> None:
    with pytest.raises(ValueError, match="known_after"):
        sandbox.add_job("narrative", known_after=value)


def test_over_http(sandbox: Sandbox, narrative: Client, anonymous: Client, clock: Clock) -> None:
    job = {"vendor": "narrative", "job_id": "a", "timeline": [[0, "running"]], "known_after": 2}
    assert anonymous.request("POST", "/_sandbox/jobs", json=job).json() == {"job_ids": ["a"]}
    assert seen(narrative, "a")[0] is None
    clock.advance(2)
    assert seen(narrative, "a")[0] == "running"
