# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Judging ended jobs by their numbers: at the limits, without a count, and in a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.checks import CHECKS, check_checks, failed_checks, lacks_numbers
from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.exceptions import JobCheckFailed, JobFailed
from airflow_provider_ingestjobs.job import Job, JobState, RowCounts
from airflow_provider_ingestjobs.sandbox import Fault, Sandbox
from airflow_provider_ingestjobs.vendors import Levels, Vendor
from support.task_runs import Outcome, run_deferred, run_in_worker
from support.vendors import ADVERITY, AMPERITY, NARRATIVE, POLARIS, VENDORS, VendorCase

if TYPE_CHECKING:
    from support.connections import Connections

ALL = Vendor(
    conn_type="all",
    name="Vendor",
    hook="",
    doc_url="",
    counts=frozenset({"read", "inserted", "updated", "rejected", "errors"}),
    limits={"max_issues": "issues"},
    levels={"max_health": Levels("health", ("ok", "warn", "error"), reason="code")},
)


def job(issues: int | None = None, **rows: int) -> Job:
    details = {"issues": issues}
    return Job("Vendor", "1", JobState.SUCCEEDED, "done", rows=RowCounts(**rows), details=details)


class TestLimits:
    @pytest.mark.parametrize(
        ("check", "limit", "within", "beyond"),
        [
            ("max_error_rows", 3, job(errors=3), job(errors=4)),
            ("max_error_rows", 0, job(errors=0), job(errors=1)),
            ("max_rejected_rows", 3, job(rejected=3), job(rejected=4)),
            ("max_error_ratio", 0.25, job(errors=25, read=100), job(errors=26, read=100)),
            ("max_error_ratio", 0, job(errors=0, read=100), job(errors=1, read=10**9)),
            ("max_rejected_ratio", 0.25, job(rejected=25, read=100), job(rejected=26, read=100)),
            ("min_rows", 100, job(read=100), job(read=99)),
            ("max_issues", 1, job(issues=1), job(issues=2)),
        ],
    )
    def test_the_limit_itself_is_fine(self, check: str, limit: float, within: Job, beyond: Job) -> None:
        assert failed_checks(within, {check: limit}, ALL) == []
        (failure,) = failed_checks(beyond, {check: limit}, ALL)
        assert check in failure

    @pytest.mark.parametrize(("errors", "fine"), [(0, True), (1, False)])
    def test_of_no_rows_read_any_error_is_too_many(self, errors: int, fine: bool) -> None:
        assert (failed_checks(job(errors=errors, read=0), {"max_error_ratio": 0.5}, ALL) == []) is fine

    @pytest.mark.parametrize(
        ("check", "given_", "lacking"),
        [
            ("max_error_rows", job(read=5), "errors"),
            ("max_rejected_rows", job(read=5), "rejected"),
            ("max_error_ratio", job(errors=0), "read"),
            ("max_error_ratio", job(read=5), "errors"),
            ("max_rejected_ratio", job(rejected=0), "read"),
            ("min_rows", job(inserted=5), "read"),
            ("max_issues", job(), "issues"),
        ],
    )
    def test_what_nobody_counted_does_not_pass(self, check: str, given_: Job, lacking: str) -> None:
        for limit in (0, 1):
            (failure,) = failed_checks(given_, {check: limit}, ALL)
            assert failure.endswith(f"cannot be judged: Vendor gave no count of {lacking}")

    @pytest.mark.parametrize(
        ("worst", "within", "beyond"),
        [("ok", ["ok"], ["warn", "error"]), ("warn", ["ok", "warn"], ["error"]), ("error", ["error"], [])],
    )
    def test_the_worst_word_itself_is_fine(self, worst: str, within: list[str], beyond: list[str]) -> None:
        for word in within:
            assert failed_checks(replace(job(), details={"health": word}), {"max_health": worst}, ALL) == []
        for word in beyond:
            found = replace(job(), details={"health": word, "code": "no_rows_found"})
            assert failed_checks(found, {"max_health": worst}, ALL) == [
                f"max_health={worst!r} is exceeded: health is {word!r}, no_rows_found"
            ]

    @pytest.mark.parametrize("word", [None, "poorly"])
    def test_a_word_that_nobody_knows_does_not_pass(self, word: str | None) -> None:
        found = replace(job(), details={"health": word})
        for worst in ("ok", "error"):
            (failure,) = failed_checks(found, {"max_health": worst}, ALL)
            assert failure.endswith(f"cannot be judged: Vendor gave health={word!r}")

    def test_the_sentence_has_the_numbers_as_they_are(self) -> None:
        failures = failed_checks(
            job(read=999_999, errors=20_000), {"min_rows": 1e6, "max_error_ratio": 0.01}, ALL
        )
        assert failures == [
            "min_rows=1000000 is not reached: 999999 read",
            "max_error_ratio=0.01 is exceeded: 20000 errors of 999999 read are 0.02",
        ]


class TestArguments:
    def test_all_of_them_where_the_vendor_counts_everything(self) -> None:
        given_ = dict.fromkeys(CHECKS, 1)
        assert check_checks(given_, ALL) == given_

    @pytest.mark.parametrize("limit", [-1, float("nan"), float("inf"), True, "5", None])
    def test_a_limit_that_is_none(self, limit: Any) -> None:
        with pytest.raises(InvalidInput, match=r"min_rows.*zero or more"):
            check_checks({"min_rows": limit}, ALL)

    def test_a_ratio_is_no_percentage(self) -> None:
        with pytest.raises(InvalidInput, match="from 0 to 1"):
            check_checks({"max_error_ratio": 5}, ALL)

    @pytest.mark.parametrize("limit", ["warning", "", 1, None, ["ok"]])
    def test_a_word_that_is_none(self, limit: Any) -> None:
        assert check_checks({"max_health": "warn"}, ALL) == {"max_health": "warn"}
        with pytest.raises(InvalidInput, match=r"max_health.*use one of ok, warn, error"):
            check_checks({"max_health": limit}, ALL)

    @pytest.mark.parametrize("case", VENDORS, ids=str)
    def test_an_unknown_check_names_those_that_there_are(self, case: VendorCase) -> None:
        with pytest.raises(InvalidInput, match=r"max_errors.*max_error_rows"):
            case.sensor(task_id="wait", job_id=case.job_id, checks={"max_errors": 1})

    @pytest.mark.parametrize(
        ("case", "check", "fix"),
        [
            (ADVERITY, "min_rows", "Adverity gives no such count: use max_issues, or check="),
            (ADVERITY, "max_error_ratio", "use max_issues"),
            (
                POLARIS,
                "max_rejected_rows",
                "use max_error_rows, max_error_ratio, min_rows, max_health, or check=",
            ),
            (POLARIS, "max_issues", "use one or more of max_error_rows, .*min_rows, max_health$"),
            (AMPERITY, "max_issues", "use one or more of max_error_rows, .*min_rows$"),
            (NARRATIVE, "max_error_rows", "Narrative gives no such count: use min_rows, or check="),
        ],
    )
    def test_what_a_vendor_does_not_count_is_an_error_in_the_dag(
        self, case: VendorCase, check: str, fix: str
    ) -> None:
        with pytest.raises(InvalidInput, match=fix):
            case.sensor(task_id="wait", job_id=case.job_id, checks={check: 1})


@pytest.fixture(params=["poke", "deferred"])
def wait(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Run a vendor's sensor to its end, in each mode."""
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "0")
    monkeypatch.setattr("airflow_provider_ingestjobs.triggers.watch.NEW_WAITS_DELAY", 0.02)
    deferred = request.param == "deferred"

    def wait(case: VendorCase, **arguments: Any) -> Outcome:
        given_ = {"task_id": "wait", "poke_interval": 0.1, "timeout": 15, "deferrable": deferred, **arguments}
        return (run_deferred if deferred else run_in_worker)(lambda: case.sensor(**given_))

    return wait


def ended(sandbox: Sandbox, case: VendorCase, state: JobState = JobState.SUCCEEDED, **more: Any) -> str:
    return sandbox.add_job(case.name, timeline=[(0, case.words[state])], **more)


class TestLackingNumbers:
    @pytest.mark.parametrize(
        ("checks", "counts", "lacks"),
        [
            ({}, {}, False),
            ({"min_rows": 1}, {"read": 0}, False),
            ({"min_rows": 1}, {"errors": 5}, True),
            ({"max_error_ratio": 0.1}, {"errors": 5, "read": 9}, False),
            ({"max_error_ratio": 0.1}, {"errors": 5}, True),
            ({"max_error_rows": 5, "min_rows": 1}, {"errors": 5}, True),
        ],
    )
    def test_counts(self, checks: dict[str, Any], counts: dict[str, Any], lacks: bool) -> None:
        assert lacks_numbers(job(**counts), checks, ALL) is lacks

    @pytest.mark.parametrize(("details", "lacks"), [({"health": "error"}, False), ({}, True)])
    def test_words(self, details: dict[str, Any], lacks: bool) -> None:
        assert lacks_numbers(replace(job(), details=details), {"max_health": "ok"}, ALL) is lacks


class TestInATask:
    def test_too_many_errors_fail_it_with_the_numbers(
        self, sandbox: Sandbox, connections: Connections, wait: Callable[..., Outcome]
    ) -> None:
        connections.add(AMPERITY.name, extra={"requests_per_second": 1000})
        job_id = ended(sandbox, AMPERITY, rows={"read": 1000, "errors": 20, "rejected": 400})
        fine = {"max_error_ratio": 0.02, "max_rejected_rows": 400, "min_rows": 1000}
        assert wait(AMPERITY, job_id=job_id, checks=fine).value["rows"]["errors"] == 20
        outcome = wait(AMPERITY, job_id=job_id, checks={"max_error_rows": 19, "max_rejected_ratio": 0.4})
        assert isinstance(outcome.error, JobCheckFailed)
        assert str(outcome.error) == f"Amperity job {job_id}: max_error_rows=19 is exceeded: 20 errors"

    def test_soft_fail_skips_it_with_the_numbers(
        self, sandbox: Sandbox, connections: Connections, wait: Callable[..., Outcome]
    ) -> None:
        connections.add(AMPERITY.name, extra={"requests_per_second": 1000})
        job_id = ended(sandbox, AMPERITY, rows={"read": 9})
        outcome = wait(AMPERITY, job_id=job_id, checks={"min_rows": 10}, soft_fail=True)
        assert outcome.skipped
        assert "min_rows=10 is not reached: 9 read" in str(outcome.error)

    def test_each_of_several_jobs_is_judged(
        self, sandbox: Sandbox, connections: Connections, wait: Callable[..., Outcome]
    ) -> None:
        connections.add(AMPERITY.name, extra={"requests_per_second": 1000})
        ids = [ended(sandbox, AMPERITY, rows={"read": read}) for read in (1, 50, 2)]
        outcome = wait(AMPERITY, job_id=ids, checks={"min_rows": 10})
        assert isinstance(outcome.error, JobCheckFailed)
        assert [job_id in str(outcome.error) for job_id in ids] == [True, False, True]

    def test_a_failed_job_has_failed_whatever_its_numbers(
        self, sandbox: Sandbox, connections: Connections, wait: Callable[..., Outcome]
    ) -> None:
        connections.add(AMPERITY.name, extra={"requests_per_second": 1000})
        job_id = ended(sandbox, AMPERITY, JobState.FAILED, rows={"read": 1})
        assert isinstance(wait(AMPERITY, job_id=job_id, checks={"min_rows": 10}).error, JobFailed)

    def test_a_count_that_one_table_leaves_out_is_not_zero(
        self, sandbox: Sandbox, connections: Connections, wait: Callable[..., Outcome]
    ) -> None:
        connections.add(AMPERITY.name, extra={"requests_per_second": 1000})
        tables = [{"errors": 0}, {"errors": None}]
        job_id = ended(sandbox, AMPERITY, rows={"read": 10}, fields={"tables": tables})
        outcome = wait(AMPERITY, job_id=job_id, checks={"max_error_rows": 5})
        assert "gave no count of errors" in str(outcome.error)

    def test_polaris_counts_come_from_its_metrics(
        self, sandbox: Sandbox, connections: Connections, wait: Callable[..., Outcome]
    ) -> None:
        connections.add(POLARIS.name)
        job_id = ended(sandbox, POLARIS, rows={"read": 200, "errors": 3})
        assert wait(POLARIS, job_id=job_id, checks={"max_error_rows": 3, "min_rows": 200}).value
        outcome = wait(POLARIS, job_id=job_id, checks={"max_error_ratio": 0.01})
        assert "3 errors of 200 read are 0.015" in str(outcome.error)

    def test_polaris_without_metrics_does_not_pass(
        self, sandbox: Sandbox, connections: Connections, wait: Callable[..., Outcome]
    ) -> None:
        connections.add(POLARIS.name)
        job_id = ended(sandbox, POLARIS, rows={"read": 200})
        sandbox.add_fault(Fault(vendor="polaris", path="/metrics$", body={"totals": {}}, times=None))
        outcome = wait(POLARIS, job_id=job_id, checks={"max_error_rows": 3})
        assert isinstance(outcome.error, JobCheckFailed)
        assert "gave no count of errors" in str(outcome.error)

    @pytest.mark.usefixtures("one_try")
    def test_metrics_that_cannot_be_read_now_do_not_fail_a_check_for_good(
        self, sandbox: Sandbox, connections: Connections, wait: Callable[..., Outcome]
    ) -> None:
        connections.add(POLARIS.name)
        job_id = ended(sandbox, POLARIS, rows={"read": 200})
        sandbox.add_fault(Fault(vendor="polaris", path="/metrics$", status=503, times=1))
        outcome = wait(POLARIS, job_id=job_id, checks={"min_rows": 200})
        assert outcome.value["rows"]["read"] == 200

    def test_without_checks_metrics_are_not_needed(
        self, sandbox: Sandbox, connections: Connections, wait: Callable[..., Outcome]
    ) -> None:
        connections.add(POLARIS.name)
        job_id = ended(sandbox, POLARIS)
        sandbox.add_fault(Fault(vendor="polaris", path="/metrics$", status=404, times=None))
        assert wait(POLARIS, job_id=job_id).value["rows"]["read"] is None

    def test_a_vendor_that_counts_only_what_arrives(
        self, sandbox: Sandbox, connections: Connections, wait: Callable[..., Outcome]
    ) -> None:
        """There ``min_rows`` is about the rows inserted; a job without that count fails it as well."""
        connections.add(NARRATIVE.name)
        job_id = ended(sandbox, NARRATIVE, rows={"inserted": 10})
        assert wait(NARRATIVE, job_id=job_id, checks={"min_rows": 10}).value["rows"]["inserted"] == 10
        outcome = wait(NARRATIVE, job_id=job_id, checks={"min_rows": 11})
        assert "min_rows=11 is not reached: 10 inserted" in str(outcome.error)
        forecast = ended(sandbox, NARRATIVE, rows={"read": 10}, fields={"type": "nql-forecast"})
        outcome = wait(NARRATIVE, job_id=forecast, checks={"min_rows": 1})
        assert "min_rows=1 cannot be judged: Narrative gave no count of inserted" in str(outcome.error)

    def test_adverity_s_issues(
        self, sandbox: Sandbox, connections: Connections, wait: Callable[..., Outcome]
    ) -> None:
        connections.add(ADVERITY.name)
        issues = [{"message": "Late data"}, {"message": "Empty column"}]
        job_id = ended(sandbox, ADVERITY, fields={"issues": issues})
        assert wait(ADVERITY, job_id=job_id, checks={"max_issues": 2}).value["details"]["issues"] == 2
        outcome = wait(ADVERITY, job_id=job_id, checks={"max_issues": 1})
        assert "max_issues=1 is exceeded: 2 issues" in str(outcome.error)


class TestCallable:
    @pytest.fixture(autouse=True)
    def _narrative(self, connections: Connections) -> None:
        connections.add(NARRATIVE.name)

    @pytest.mark.parametrize(
        ("verdict", "said"),
        [
            (True, None),
            (False, "looks_right() returned False"),
            (None, "looks_right() returned None"),
            ("", "looks_right() returned ''"),
            ("too few columns", "too few columns"),
        ],
    )
    def test_only_true_is_fine(
        self, sandbox: Sandbox, wait: Callable[..., Outcome], verdict: Any, said: str | None
    ) -> None:
        seen = []

        def looks_right(job: Job) -> Any:
            seen.append(job)
            return verdict

        job_id = ended(sandbox, NARRATIVE, fields={"dataset_id": 10674})
        outcome = wait(NARRATIVE, job_id=job_id, check=looks_right)
        assert [(job.id, job.state, job.target) for job in seen] == [(job_id, "succeeded", "10674")]
        if said is None:
            assert outcome.value["id"] == job_id
        else:
            assert isinstance(outcome.error, JobCheckFailed)
            assert str(outcome.error) == f"Narrative job {job_id}: {said}"

    @pytest.mark.parametrize("verdict", [[], ["too few columns"], {}, 0, 1, object()])
    def test_any_other_answer_is_an_error_and_no_skip(
        self, sandbox: Sandbox, wait: Callable[..., Outcome], verdict: Any
    ) -> None:
        def looks_right(job: Job) -> Any:
            return verdict

        outcome = wait(NARRATIVE, job_id=ended(sandbox, NARRATIVE), check=looks_right, soft_fail=True)
        assert isinstance(outcome.error, InvalidInput)
        assert "let looks_right() return True, or a text that says what is wrong" in str(outcome.error)

    def test_neither_is_what_has_to_be_awaited(self, sandbox: Sandbox, wait: Callable[..., Outcome]) -> None:
        async def right(job: Job) -> bool:
            return True

        with pytest.raises(InvalidInput, match="not an async one"):
            NARRATIVE.sensor(task_id="wait", job_id="1", check=right)
        outcome = wait(NARRATIVE, job_id=ended(sandbox, NARRATIVE), check=lambda job: right(replace(job)))
        assert isinstance(outcome.error, InvalidInput)

    @pytest.mark.parametrize("check", ["looks_right", True, ["min_rows"], 1])
    def test_what_cannot_be_called_is_refused_in_the_dag(self, check: Any) -> None:
        with pytest.raises(InvalidInput, match="check="):
            NARRATIVE.sensor(task_id="wait", job_id="1", check=check)

    @pytest.mark.parametrize("check", [lambda: True, lambda job, limit: True, lambda *, job: True])
    def test_neither_is_what_takes_no_job(self, check: Any) -> None:
        with pytest.raises(InvalidInput, match=r"a function .* that takes a Job"):
            NARRATIVE.sensor(task_id="wait", job_id="1", check=check)

    @pytest.mark.parametrize("check", [lambda job, limit=1: True, lambda *jobs: True, bool, str.isupper])
    def test_whatever_takes_one_can_be_called(self, check: Any) -> None:
        assert NARRATIVE.sensor(task_id="wait", job_id="1", check=check).check is check

    @pytest.mark.parametrize("checks", [["min_rows"], "min_rows", 1])
    def test_limits_are_a_dict(self, checks: Any) -> None:
        with pytest.raises(InvalidInput, match="give limits by check"):
            AMPERITY.sensor(task_id="wait", job_id="1", checks=checks)

    def test_what_it_raises_is_the_task_s_error(self, sandbox: Sandbox, wait: Callable[..., Outcome]) -> None:
        def broken(job: Job) -> bool:
            return bool(job.details["no such thing"])

        outcome = wait(NARRATIVE, job_id=ended(sandbox, NARRATIVE), check=broken, soft_fail=True)
        # A bug in the check is no skip.
        assert isinstance(outcome.error, KeyError)

    def test_it_is_asked_beside_the_limits(
        self, sandbox: Sandbox, connections: Connections, wait: Callable[..., Outcome]
    ) -> None:
        connections.add(AMPERITY.name, extra={"requests_per_second": 1000})
        job_id = ended(sandbox, AMPERITY, rows={"read": 1})
        outcome = wait(AMPERITY, job_id=job_id, checks={"min_rows": 2}, check=lambda job: "and that")
        assert str(outcome.error) == (
            f"Amperity job {job_id}: min_rows=2 is not reached: 1 read; Amperity job {job_id}: and that"
        )
