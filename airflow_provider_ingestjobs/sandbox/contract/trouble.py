# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Waits go on past trouble that passes, and end at once with a refusal."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from airflow_provider_ingestjobs.errors import AuthenticationFailed, PermissionDenied, VendorError
from airflow_provider_ingestjobs.exceptions import JobFailed
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Fault
from airflow_provider_ingestjobs.sandbox.contract.lab import STEP, ContractTests, Lab, worker_and_triggerer

PASSING: dict[str, dict[str, Any]] = {
    # The pause that it asks for is kept, so that one is enough.
    "429 with Retry-After": {"status": 429, "headers": {"Retry-After": "1"}, "times": 1},
    "500": {"status": 500},
    "502": {"status": 502},
    "503": {"status": 503},
    "504": {"status": 504},
    "connection closed before the answer": {"drop": "before"},
    "connection closed mid-body": {"drop": "mid_body"},
    "garbage body": {"body": "<html>We will be back soon</html>"},
    "empty body": {"body": b""},
}
REFUSED: dict[str, tuple[int, type[VendorError]]] = {
    "400": (400, VendorError),
    "401": (401, AuthenticationFailed),
    "403": (403, PermissionDenied),
    "redirect": (302, VendorError),
}
REASON = "no such grant for this principal"
REQUEST_ID = "req-4711"


class TroubleTests(ContractTests):
    """What a wait makes of trouble."""

    @pytest.mark.parametrize(("mode", "end"), [("poke", JobState.FAILED), ("deferred", JobState.SUCCEEDED)])
    @pytest.mark.parametrize("trouble", PASSING)
    def test_a_wait_goes_on_past_passing_trouble(
        self, lab: Lab, mode: str, trouble: str, end: JobState
    ) -> None:
        words = self.case.words
        timeline = [(0, words[JobState.RUNNING]), (STEP, words[end])]
        job_id = lab.add_job(timeline=timeline, starts="first_read")
        # After a look that finds it running, and often when it ends.
        fault = {"times": 2, **PASSING[trouble]}
        lab.sandbox.add_fault(Fault(method="GET", skip=1, **fault))
        outcome = lab.wait(mode, job_id=job_id)
        assert not lab.sandbox.describe()["faults"], "the wait has ended before there was any trouble"
        if end is JobState.FAILED:
            assert type(outcome.error) is JobFailed
        else:
            assert outcome.error is None
            assert outcome.value["state"] == "succeeded"

    @worker_and_triggerer
    @pytest.mark.parametrize("trouble", ["503", "garbage body"])
    def test_trouble_from_the_first_look_on(self, lab: Lab, mode: str, trouble: str) -> None:
        job_id = lab.add_job(JobState.SUCCEEDED)
        lab.sandbox.add_fault(Fault(method="GET", times=2, **PASSING[trouble]))
        assert lab.wait(mode, job_id=job_id).value["state"] == "succeeded"

    @worker_and_triggerer
    @pytest.mark.parametrize("refusal", REFUSED)
    def test_a_refusal_fails_the_task_in_the_vendors_words(self, lab: Lab, mode: str, refusal: str) -> None:
        status, cls = REFUSED[refusal]
        job_id = lab.add_job(JobState.RUNNING)
        body = self.case.sandbox_vendor(time.time, threading.RLock()).error(status, REASON)
        headers = {"X-Request-Id": REQUEST_ID}
        if refusal == "redirect":
            headers["Location"] = f"{lab.sandbox.url}/elsewhere"
        fault = Fault(method="GET", status=status, body=json.dumps(body), headers=headers, times=None)
        lab.sandbox.add_fault(fault)
        outcome = lab.wait(mode, job_id=job_id, soft_fail=True)
        error: Any = outcome.error
        assert type(error) is cls
        assert not outcome.skipped
        assert error.status == status
        assert error.request_id == str(body.get("request_id") or body.get("trace_id") or REQUEST_ID)
        # The body of a redirect is for no one.
        assert REASON in str(error) or refusal == "redirect"
        assert lab.row.name in str(error)
        assert not any("elsewhere" in request.path for request in lab.requests())

    @worker_and_triggerer
    def test_an_expired_token_is_replaced(self, lab: Lab, mode: str) -> None:
        if "login" not in lab.auths:
            pytest.skip(f"{lab.row.name} exchanges no login for a token")
        lab.connect("login")
        words = self.case.words
        timeline = [(0, words[JobState.RUNNING]), (STEP, words[JobState.SUCCEEDED])]
        job_id = lab.add_job(timeline=timeline, starts="first_read")
        lab.sandbox.add_fault(Fault(method="GET", status=401, times=1, skip=1))
        assert lab.wait(mode, job_id=job_id).value["state"] == "succeeded"
