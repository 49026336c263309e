# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a connection proves itself with is never shown: in no log, error, trigger, XCom or repr."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_ingestjobs.errors import IngestJobsError
from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox import Fault
from airflow_provider_ingestjobs.sandbox.contract.lab import MODES, ContractTests, Lab, worker_and_triggerer
from airflow_provider_ingestjobs.sandbox.logs import captured_logs
from airflow_provider_ingestjobs.sandbox.task_runs import Outcome, defer


def secrets(lab: Lab) -> set[str]:
    """Return what must not be shown: what the connections hold, and what has been sent of it so far.

    :param lab: the vendor.
    """
    known = lab.case.sandbox_vendor.credentials
    sent = {heard for heard in lab.heard if heard and not heard.startswith("/")}
    return {known.key, known.login, known.password} | sent


def everything_of(outcome: Outcome) -> str:
    """Return all that Airflow keeps of a task.

    :param outcome: how it ended.
    """
    errors, error = [], outcome.error
    while error is not None:
        errors.append(repr(error))
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return json.dumps([outcome.value, outcome.xcoms, errors])


class SecrecyTests(ContractTests):
    """Secrets stay secret."""

    def test_a_hook_does_not_show_them(self, lab: Lab) -> None:
        for auth in lab.auths:
            hook = lab.hook(auth)
            hook.get_job(lab.add_job(JobState.SUCCEEDED))
            shown = repr([hook, hook.client, hook.get_conn().headers])
            assert not [secret for secret in secrets(lab) if secret in shown]
            assert hook.settings.password not in repr(hook.settings)

    def test_a_whole_wait_does_not_show_them(self, lab: Lab) -> None:
        for auth in lab.auths:
            lab.connect(auth)
            job_id = lab.add_job(JobState.RUNNING, JobState.FAILED, starts="first_read")
            with captured_logs() as logs:
                trigger = defer(lab.sensor("deferred", job_id=job_id))
                outcomes = [lab.wait(mode, job_id=job_id, include_raw=True) for mode in MODES]
            shown = [logs.text, json.dumps(trigger.serialize()), *map(everything_of, outcomes)]
            assert not [secret for secret in secrets(lab) if any(secret in text for text in shown)]

    @worker_and_triggerer
    @pytest.mark.parametrize("status", [400, 401, 503])
    def test_a_vendor_that_repeats_them(self, lab: Lab, mode: str, status: int) -> None:
        for auth in lab.auths:
            lab.connect(auth)
            job_id = lab.add_job(JobState.RUNNING, JobState.SUCCEEDED, starts="first_read")
            lab.hook(auth).get_job(job_id)
            credentials = lab.case.sandbox_vendor.credentials
            password = credentials.key if auth == "key" else credentials.password
            body: dict[str, Any] = {"message": f"{password} may not", "error": f"{password} was sent"}
            headers = {"X-Request-Id": f"of-{password}"}
            lab.sandbox.add_fault(Fault(method="GET", status=status, body=body, headers=headers, times=2))
            with captured_logs() as logs:
                outcome = lab.wait(mode, job_id=job_id)
            lab.sandbox.clear_faults()
            assert password not in logs.text
            assert password not in everything_of(outcome)

    def test_a_failed_login_does_not_show_them(self, lab: Lab) -> None:
        for auth in lab.auths:
            hook = lab.hook(auth)
            lab.sandbox.add_fault(Fault(drop="before", times=None))
            with captured_logs() as logs, pytest.raises(IngestJobsError) as caught:
                hook.get_job("1")
            lab.sandbox.clear_faults()
            shown = logs.text + everything_of(Outcome(error=caught.value))
            assert not [secret for secret in secrets(lab) if secret in shown]
