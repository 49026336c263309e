# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a user's editor knows. ``mypy --strict`` checks this file, nothing runs it.

Where an ignored error goes away, mypy reports the comment as unused: each of them is a test, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, Unpack, assert_type

from airflow.sdk import BaseOperator, Context, XComArg, dag, task

import airflow_provider_ingestjobs
from airflow_provider_ingestjobs.exceptions import (
    IngestJobsError,
    InvalidInput,
    JobCancelled,
    JobCheckFailed,
    JobEnded,
    JobFailed,
    JobNotFound,
    PermissionDenied,
    StartedJobFailed,
    StartUnknown,
    Throttled,
    VendorError,
    VendorUnavailable,
)
from airflow_provider_ingestjobs.hooks.adverity import AdverityHook
from airflow_provider_ingestjobs.hooks.amperity import AmperityHook
from airflow_provider_ingestjobs.hooks.amperity_workflow import AmperityWorkflowHook
from airflow_provider_ingestjobs.hooks.base import IngestJobHook
from airflow_provider_ingestjobs.hooks.narrative import NarrativeHook
from airflow_provider_ingestjobs.hooks.polaris import PolarisHook
from airflow_provider_ingestjobs.job import Job, JobState, RowCounts
from airflow_provider_ingestjobs.operators.adverity import (
    AdverityCancelJobOperator,
    AdverityFetchOperator,
    AdverityListJobsOperator,
)
from airflow_provider_ingestjobs.operators.amperity import (
    AmperityCancelJobOperator,
    AmperityListJobsOperator,
    AmperityRunWorkflowOperator,
)
from airflow_provider_ingestjobs.operators.narrative import (
    NarrativeListJobsOperator,
    NarrativeRefreshViewOperator,
    NarrativeRunQueryOperator,
)
from airflow_provider_ingestjobs.operators.polaris import (
    PolarisCancelJobOperator,
    PolarisListJobsOperator,
    PolarisRunJobOperator,
)
from airflow_provider_ingestjobs.operators.start import StartJobOperator
from airflow_provider_ingestjobs.provider_info import provider_info
from airflow_provider_ingestjobs.sandbox import CREDENTIALS, Fault, RecordedRequest, Response, Sandbox
from airflow_provider_ingestjobs.sensors.adverity import AdverityJobSensor
from airflow_provider_ingestjobs.sensors.amperity import AmperityJobSensor
from airflow_provider_ingestjobs.sensors.base import IngestJobSensor
from airflow_provider_ingestjobs.sensors.narrative import NarrativeJobSensor
from airflow_provider_ingestjobs.sensors.polaris import PolarisJobSensor
from airflow_provider_ingestjobs.starts.request import Found, StartRequest
from airflow_provider_ingestjobs.task_arguments import StartArguments, TaskArguments, WaitArguments
from airflow_provider_ingestjobs.triggers.asset_event import IngestJobEventTrigger
from airflow_provider_ingestjobs.vendors import AMPERITY, Extra, Vendor

MIDNIGHT = datetime(2026, 11, 2, tzinfo=UTC)


def sensors(upstream: BaseOperator) -> None:
    amperity = AmperityJobSensor(
        task_id="amperity",
        amperity_conn_id="amperity_default",
        feed_id="df-5L6d1veh",
        table_name=["Customers", "Orders"],
        workflow_id="{{ params.workflow_id }}",
        started_from=MIDNIGHT,
        started_to="{{ data_interval_end }}",
        look_back=timedelta(hours=6),
        min_jobs=2,
        settle=60,
        latest_only=True,
        deferrable=True,
        poke_interval=timedelta(seconds=30),
        exponential_backoff=True,
        max_wait=600,
        timeout=3600.0,
        soft_fail=True,
        expected_states=("succeeded", JobState.SKIPPED),
        checks={"max_error_ratio": 0.01, "min_rows": 1},
        check=lambda job: job.rows.read != 0 or "it is empty",
        missing_grace=timedelta(minutes=1),
        failed_grace=timedelta(hours=2),
        cancel_on_kill=False,
        include_raw=True,
        retries=3,
        retry_delay=timedelta(minutes=1),
        pool="vendors",
        on_failure_callback=lambda context: print(context["ti"].task_id),
        doc_md="Waits for the feed.",
    )
    assert_type(amperity.feed_id, str | XComArg | Sequence[str | XComArg] | None)
    assert_type(amperity.conn_id, str)
    assert_type(amperity.vendor, str)
    assert_type(amperity.hook, AmperityHook)
    assert_type(amperity.hook.get_workflow("wf-1", verbose=True), dict[str, Any])
    assert_type(amperity.expected_states, frozenset[JobState])
    assert_type(amperity.missing_grace, float)
    assert_type(amperity.failed_grace, float)

    adverity = AdverityJobSensor(
        task_id="adverity", adverity_conn_id="adverity_default", datastream_id=[221, 222], mode="reschedule"
    )
    assert_type(adverity.hook, AdverityHook)
    AdverityJobSensor(task_id="one", datastream_id=221)
    AdverityJobSensor(task_id="ids_as_text", datastream_id=["221", "222"])

    polaris = PolarisJobSensor(
        task_id="polaris",
        imply_polaris_conn_id="imply_polaris_default",
        project_id="p-1",
        table_name="events",
        job_type=("batch", "streaming"),
        health_status="error",
    )
    assert_type(polaris.hook.get_metrics("1"), dict[str, Any])

    narrative = NarrativeJobSensor(
        task_id="narrative",
        narrative_conn_id="narrative_default",
        dataset_id=[17, "{{ params.dataset_id }}"],
        data_plane_id="dp-1",
        job_type="materialize-view",
        tags=["nightly"],
    )
    assert_type(narrative.hook, NarrativeHook)

    AmperityJobSensor(task_id="several_ids", job_id=["isj-1", "isj-2"])
    AmperityJobSensor(task_id="template", job_id="{{ params.job_id }}")
    AmperityJobSensor(task_id="upstream", job_id=upstream.output)
    AmperityJobSensor(task_id="mixed", job_id=["isj-1", upstream.output])
    AmperityJobSensor(task_id="feeds_of_upstream", feed_id=upstream.output, started_from=upstream.output)
    AdverityJobSensor(task_id="datastreams_of_upstream", datastream_id=[221, upstream.output])
    PolarisJobSensor(task_id="project_of_upstream", job_id="1", project_id=upstream.output)
    AmperityJobSensor.partial(task_id="mapped").expand(job_id=["isj-1", "isj-2"])


def sensors_refuse() -> None:
    AmperityJobSensor(job_id="isj-1")  # type: ignore[call-arg]  # a task has an id
    AmperityJobSensor("isj-1", task_id="wait")  # type: ignore[call-arg]  # Airflow takes keywords only
    AmperityJobSensor(task_id="wait", job_ids="isj-1")  # type: ignore[call-arg]  # it is called job_id
    AmperityJobSensor(task_id="wait", datastream_id=1)  # type: ignore[call-arg]  # another vendor's
    AdverityJobSensor(task_id="wait", amperity_conn_id="x")  # type: ignore[call-arg]  # another vendor's
    AdverityJobSensor(task_id="wait", failed_grace=60)  # type: ignore[call-arg]  # nothing is resumed there
    AmperityJobSensor(task_id="wait", failed_grace="an hour")  # type: ignore[arg-type]
    AmperityJobSensor(task_id="wait", job_id=47.11)  # type: ignore[arg-type]
    AmperityJobSensor(task_id="wait", job_id="1", min_jobs="2")  # type: ignore[arg-type]
    AmperityJobSensor(task_id="wait", job_id="1", settle="a minute")  # type: ignore[arg-type]
    AmperityJobSensor(task_id="wait", job_id="1", expected_states=3)  # type: ignore[arg-type]
    AmperityJobSensor(task_id="wait", job_id="1", checks={"min_rows": [1]})  # type: ignore[dict-item]
    AmperityJobSensor(task_id="wait", job_id="1", check=lambda: True)  # type: ignore[misc, arg-type]
    AmperityJobSensor(task_id="wait", job_id="1", started_from=3)  # type: ignore[arg-type]
    AmperityJobSensor(task_id="wait", job_id="1", retries="3")  # type: ignore[arg-type]  # Airflow's own
    AmperityJobSensor(task_id="wait", feed_id={"id": "df-1"})  # type: ignore[arg-type]


def operators(upstream: BaseOperator) -> None:
    cancel = AmperityCancelJobOperator(
        task_id="cancel",
        amperity_conn_id="amperity_default",
        job_id=upstream.output,
        wait_for_termination=True,
        deferrable=True,
        poll_interval=timedelta(seconds=30),
        timeout=600,
        missing_grace=60.0,
        trigger_rule="all_done",
    )
    assert_type(cancel.hook.stop_workflow("wf-1"), dict[str, Any])
    AdverityCancelJobOperator(task_id="cancel_adverity", adverity_conn_id="a", job_id="7301104")
    PolarisCancelJobOperator(
        task_id="cancel_polaris", imply_polaris_conn_id="p", project_id="p-1", job_id="{{ params.job_id }}"
    )

    feeds = AmperityListJobsOperator(
        task_id="list",
        amperity_conn_id="amperity_default",
        started_from="{{ data_interval_start }}",
        started_to=MIDNIGHT,
        feed_id="df-5L6d1veh",
        table_name="Customers",
        workflow_id=upstream.output,
        max_jobs=10,
        include_raw=True,
    )
    assert_type(feeds.feed_id, str | XComArg | None)
    assert_type(feeds.execute(Context()), list[dict[str, Any]])
    AdverityListJobsOperator(
        task_id="list_adverity",
        adverity_conn_id="adverity_default",
        datastream_id=221,
        started_from=date(2026, 11, 1),
        started_to=date(2026, 11, 2),
    )
    PolarisListJobsOperator(
        task_id="list_polaris",
        imply_polaris_conn_id="imply_polaris_default",
        project_id="p-1",
        table_name="events",
        job_type=["batch"],
        health_status="ok",
    )
    NarrativeListJobsOperator(
        task_id="list_narrative",
        narrative_conn_id="narrative_default",
        dataset_id=17,
        data_plane_id="dp-1",
        state=["failed", "cancelled"],
        job_type="materialize-view",
        tags=["nightly"],
        order_by="updated_at_desc",
    )


def operators_refuse() -> None:
    AmperityCancelJobOperator(task_id="cancel")  # type: ignore[call-arg]  # which job?
    AmperityCancelJobOperator(task_id="cancel", job_id=["1"])  # type: ignore[arg-type]  # one at a time
    AmperityCancelJobOperator(task_id="cancel", job_id="1", min_jobs=1)  # type: ignore[call-arg]  # a sensor's
    AmperityListJobsOperator(task_id="list", feed_id=["a", "b"])  # type: ignore[arg-type]  # the hook takes one
    AmperityListJobsOperator(task_id="list", max_jobs="all")  # type: ignore[arg-type]
    AmperityListJobsOperator(task_id="list", timeout=3)  # type: ignore[call-arg]  # nothing to wait for


def start_operators(upstream: BaseOperator) -> None:
    fetch = AdverityFetchOperator(
        task_id="fetch",
        adverity_conn_id="adverity_default",
        datastream_id=218,
        range_start=date(2026, 11, 1),
        range_end="{{ ds }}",
        priority="high",
        wait_for_termination=True,
        deferrable=True,
        poll_interval=timedelta(seconds=30),
        timeout=3600.0,
        expected_states=("succeeded", JobState.SKIPPED),
        checks={"min_rows": 1},
        check=lambda job: job.rows.read != 0 or "it is empty",
        missing_grace=timedelta(minutes=1),
        listing_delay=120,
        cancel_on_kill=None,
        include_raw=True,
        end_from_trigger=False,
        retries=3,
        pool="vendors",
    )
    assert_type(fetch.hook, AdverityHook)
    assert_type(fetch.conn_id, str)
    assert_type(fetch.job_id, list[str])
    assert_type(fetch.expected_states, frozenset[JobState])
    assert_type(fetch.cancel_on_kill, bool)
    assert_type(fetch.listing_delay, float)
    AdverityFetchOperator(
        task_id="of_upstream",
        datastream_id=upstream.output,
        range_start=upstream.output,
        range_end=upstream.output,
    )

    run = AmperityRunWorkflowOperator(
        task_id="run",
        amperity_conn_id="amperity_default",
        config_id="cg-123ABc4DE",
        range_from=MIDNIGHT,
        range_to="{{ data_interval_end }}",
        run_mode="full",
        workflow_name="Daily ingest",
        failed_grace=timedelta(hours=2),
        cancel_on_kill=False,
    )
    assert_type(run.hook, AmperityWorkflowHook)
    assert_type(run.failed_grace, float)
    AmperityRunWorkflowOperator(task_id="of_upstream", config_id=upstream.output)

    job = PolarisRunJobOperator(
        task_id="job",
        imply_polaris_conn_id="imply_polaris_default",
        project_id="p-1",
        spec={"type": "sql", "query": "INSERT INTO Clicks SELECT * FROM Raw"},
        poke_interval=30,
    )
    assert_type(job.hook.get_metrics("1"), dict[str, Any])
    PolarisRunJobOperator(task_id="file", spec="job.json", wait_for_termination=False)
    PolarisRunJobOperator(task_id="of_upstream", spec=upstream.output)

    query = NarrativeRunQueryOperator(
        task_id="query", narrative_conn_id="narrative_default", nql="query.nql", data_plane_id="dp-1"
    )
    assert_type(query.hook, NarrativeHook)
    NarrativeRefreshViewOperator(task_id="refresh", dataset_id=17, refresh_type="full")
    AdverityFetchOperator.partial(task_id="mapped", range_start="{{ ds }}", range_end="{{ ds }}").expand(
        datastream_id=[218, 219]
    )


def start_operators_refuse() -> None:
    AdverityFetchOperator(task_id="fetch", range_start="", range_end="")  # type: ignore[call-arg]
    AdverityFetchOperator(task_id="fetch", datastream_id=218)  # type: ignore[call-arg]  # of which range?
    fetch = partial(AdverityFetchOperator, task_id="fetch", range_start="2026-01-01", range_end="2026-01-02")
    fetch(datastream_id=[1, 2])  # type: ignore[arg-type]  # one at a time
    fetch(datastream=218)  # type: ignore[call-arg]  # it is datastream_id
    fetch(datastream_id=218, min_jobs=1)  # type: ignore[call-arg]  # a sensor's
    fetch(datastream_id=218, listing_delay="long")  # type: ignore[arg-type]
    fetch(datastream_id=218, failed_grace=60)  # type: ignore[call-arg]
    AmperityRunWorkflowOperator(task_id="run")  # type: ignore[call-arg]  # run what?
    AmperityRunWorkflowOperator(task_id="run", config_id="cg-1", job_id="1")  # type: ignore[call-arg]  # not yet
    PolarisRunJobOperator(task_id="job", spec=[])  # type: ignore[arg-type]
    PolarisRunJobOperator(task_id="job", nql="SELECT 1")  # type: ignore[call-arg]  # another vendor's
    NarrativeRunQueryOperator(task_id="query", sql="SELECT 1")  # type: ignore[call-arg]  # it is called nql
    NarrativeRefreshViewOperator(task_id="refresh", dataset_id=17)  # type: ignore[call-arg]  # full or not?


@dag(schedule=None)
def in_a_dag() -> None:
    @task
    def start() -> str:
        return "isj-1"

    @task
    def started_from() -> str:
        return "2026-11-02T00:00:00+00:00"

    by_id = AmperityJobSensor(task_id="by_id", job_id=start())
    selected = AmperityJobSensor(task_id="selected", feed_id=start(), started_from=started_from())
    stop = AmperityCancelJobOperator(task_id="stop", job_id=start())
    by_id >> [selected, stop]


def hooks() -> None:
    amperity = AmperityHook("amperity_default")
    job = amperity.get_job("isj-1")
    assert_type(job, Job)
    assert_type(amperity.get_jobs(["isj-1", "isj-2"]), dict[str, Job])
    assert_type(amperity.cancel_job("isj-1"), Job)
    assert_type(amperity.test_connection(), tuple[bool, str])
    assert_type(amperity.list_jobs(MIDNIGHT, "2026-11-03T00:00:00+00:00", feed_id="df-1"), Iterator[Job])
    adverity = AdverityHook(adverity_conn_id="adverity_default")
    assert_type(adverity.list_jobs(datastream_id=221, started_from=date(2026, 11, 1)), Iterator[Job])
    assert_type(adverity.job_url("4711"), str | None)
    polaris = PolarisHook("imply_polaris_default", project_id="p-1")
    assert_type(polaris.list_jobs(job_type=["batch"], table_name="events"), Iterator[Job])
    narrative = NarrativeHook(narrative_conn_id="narrative_default")
    assert_type(narrative.list_jobs(dataset_id=17, tags=("nightly",), per_page=50), Iterator[Job])

    AmperityHook(adverity_conn_id="x")  # type: ignore[call-arg]  # another vendor's
    amperity.get_job(4711)  # type: ignore[arg-type]  # ids are text
    amperity.list_jobs(datastream_id=221)  # type: ignore[call-arg]  # another vendor's
    narrative.get_workflow("wf-1")  # type: ignore[attr-defined]  # another vendor's


def jobs(job: Job) -> None:
    assert_type(job.id, str)
    assert_type(job.state, JobState)
    assert_type(job.state.is_terminal, bool)
    assert_type(job.rows, RowCounts)
    assert_type(job.rows.read, int | None)
    assert_type(job.started_at, datetime | None)
    assert_type(job.duration, float | None)
    assert_type(job.details, Mapping[str, Any])
    assert_type(job.to_dict(include_raw=True), dict[str, Any])
    assert_type(Job.from_dict(job.to_dict()), Job)
    job.state = JobState.FAILED  # type: ignore[misc]  # a record of what was read
    job.rows.total  # type: ignore[attr-defined]  # noqa: B018 - no such count


def errors(hook: AmperityHook) -> None:
    try:
        hook.get_job("isj-1")
    except InvalidInput as error:
        assert_type(error.field, str)
        assert_type(error.value, object)
        assert_type(error.fix, str)
    except (Throttled, PermissionDenied) as error:
        assert_type(error.status, int | None)
        assert_type(error.request_id, str | None)
        assert_type(error.retry_after, float | None)
    except (VendorUnavailable, VendorError) as error:
        assert_type(error.wants_pause, bool)
    except JobNotFound as error:
        known: IngestJobsError = error
        assert known
    except (JobFailed, JobCheckFailed, JobCancelled) as error:
        ended: JobEnded = error
        assert_type(ended.job, Job | None)
    except StartedJobFailed as error:
        assert_type(error.job, Job | None)
    except StartUnknown as error:
        untold: IngestJobsError = error
        assert untold


class OurHook(AmperityHook):
    """A user's hook, with something of its own."""

    def workflow_of(self, job: Job) -> dict[str, Any]:
        return self.get_workflow(job.details["workflow_id"])


class OurSensor(AmperityJobSensor):
    """A user's sensor, on their own hook, which passes on what it does not take itself."""

    hook_class = OurHook
    hook: OurHook

    def __init__(self, *, brand: str, **kwargs: Unpack[WaitArguments]) -> None:
        super().__init__(feed_id=f"df-{brand}", **kwargs)
        self.brand = brand


class WrongSensor(AmperityJobSensor):
    hook_class = AdverityHook  # type: ignore[assignment]  # another vendor's


def classes_of_users() -> None:
    sensor = OurSensor(task_id="wait", brand="acme", deferrable=True, retries=2)
    assert_type(sensor.brand, str)
    assert_type(sensor.hook.workflow_of(sensor.hook.get_job("isj-1")), dict[str, Any])
    OurSensor(task_id="wait", brand="acme", colour="red")  # type: ignore[call-arg]
    OurSensor(task_id="wait")  # type: ignore[call-arg]  # which brand?


ACME = Vendor(
    conn_type="acme",
    name="Acme",
    hook="acme.hooks.acme.AcmeHook",
    doc_url="https://acme.example/docs",
    filters={"pipe_id": "pipe_id", "label": None},
    counts=frozenset({"read", "errors"}),
    extras={"page_size": Extra("Page size", "Jobs in one page.", "count", default=100)},
    cancels=False,
)


class AcmeHook(IngestJobHook, vendor=ACME):
    """A further vendor's hook, in a package of its own."""

    states = {"ok": JobState.SUCCEEDED}  # noqa: RUF012 - a ClassVar by its base

    def __init__(self, acme_conn_id: str = "acme_default") -> None:
        super().__init__(acme_conn_id)

    def get_record(self, job_id: str) -> Any:
        return self.client.request("GET", f"/jobs/{job_id}")

    def to_job(self, record: Mapping[str, Any]) -> Job:
        state = self.words.state_of(record["state"])
        return Job(vendor=ACME.name, id=record["id"], state=state, vendor_state=record["state"])

    def list_jobs(self, *, pipe_id: str | None = None) -> Iterator[Job]:
        return self.records.jobs(self.client.request_list("/jobs", "jobs", params=[]), keep_raw=True)

    def list_window(self, start: datetime, end: datetime, shared: Mapping[str, Any]) -> Iterator[Job]:
        return self.list_jobs()

    def ping(self) -> str:
        return "Acme answers"


class AcmeJobSensor(IngestJobSensor[AcmeHook]):
    """A further vendor's sensor."""

    hook_class = AcmeHook
    template_fields: Sequence[str] = (*IngestJobSensor.template_fields, "pipe_id", "acme_conn_id")

    def __init__(
        self,
        *,
        acme_conn_id: str = "acme_default",
        pipe_id: str | None = None,
        **kwargs: Unpack[WaitArguments],
    ) -> None:
        super().__init__(filters={"pipe_id": pipe_id}, **kwargs)
        self.pipe_id = pipe_id
        self.acme_conn_id = acme_conn_id


@dataclass(frozen=True)
class AcmeRun:
    """What a further vendor is asked to start."""

    hook: AcmeHook
    pipe_id: str

    @property
    def content(self) -> Any:
        return [self.pipe_id]

    def send(self) -> list[str]:
        return [self.hook.client.request("POST", "/jobs", json_body={"pipe_id": self.pipe_id})["id"]]

    def find(self, since: datetime) -> Found:
        return Found(certain=list(self.hook.list_jobs(pipe_id=self.pipe_id)), possible=())


class AcmeRunOperator(StartJobOperator[AcmeHook]):
    """A further vendor's operator that starts jobs."""

    hook_class = AcmeHook
    template_fields: Sequence[str] = ("pipe_id", "acme_conn_id")

    def __init__(
        self, *, pipe_id: str, acme_conn_id: str = "acme_default", **kwargs: Unpack[StartArguments]
    ) -> None:
        super().__init__(**kwargs)
        self.pipe_id = pipe_id
        self.acme_conn_id = acme_conn_id

    def start_request(self, context: Context) -> AcmeRun:
        return AcmeRun(self.hook, self.pipe_id)


class WordyRunOperator(AcmeRunOperator):
    def start_request(self, context: Context) -> str:  # type: ignore[override]  # it is no request
        return self.pipe_id


def a_further_vendor() -> None:
    run = AcmeRunOperator(task_id="run", pipe_id="p-1", listing_delay=60)
    request: StartRequest = run.start_request(Context())
    assert_type(request.send(), list[str])
    AcmeRunOperator(task_id="run", pipe="p-1")  # type: ignore[call-arg]  # it is called pipe_id
    assert_type(AcmeJobSensor(task_id="wait", job_id="1").hook, AcmeHook)
    assert_type(provider_info("ingestjobs-acme", [ACME], name="Acme"), dict[str, Any])
    assert_type(airflow_provider_ingestjobs.get_provider_info(), dict[str, Any])
    assert_type(AMPERITY.conn_name_attr, str)
    Vendor(conn_type="acme")  # type: ignore[call-arg]  # name, hook and doc_url are required
    Extra("Key scheme", "How the key is sent.", "choice")  # type: ignore[arg-type]  # no such type
    AMPERITY.cancels = False  # type: ignore[misc]  # rows are not changed


def event_triggers() -> None:
    trigger = IngestJobEventTrigger(
        hook=AmperityHook,
        conn_id="amperity_default",
        filters={"feed_id": "df-5L6d1veh"},
        states=[JobState.FAILED, "cancelled"],
        poll_interval=timedelta(minutes=1),
        look_back=3600,
    )
    assert_type(trigger.hook_class, type[IngestJobHook])
    IngestJobEventTrigger(hook=PolarisHook, hook_params={"project_id": "p-1"})
    IngestJobEventTrigger(hook="airflow_provider_ingestjobs.hooks.amperity.AmperityHook")
    IngestJobEventTrigger(hook=AmperityHook())  # type: ignore[arg-type]  # the class
    IngestJobEventTrigger(hook=AmperityHook, feed_id="df-1")  # type: ignore[arg-type]  # goes into filters


def in_a_test() -> None:
    with Sandbox() as sandbox:
        job_id = sandbox.add_job(
            "amperity",
            "isj-1",
            timeline=[(0, "running"), (2.5, {"state": "failed", "failure": "no space"})],
            rows={"read": 10, "errors": 1},
        )
        assert_type(job_id, str)
        sandbox.add_fault(Fault(vendor="amperity", status=503, headers={"Retry-After": "2"}, times=2))
        sandbox.add_fault(Fault(path=r"/jobs/", drop="mid_body", times=None))
        sandbox.plan_start("amperity", [(0, "scheduled"), (1, "failed")], failure="no space", times=None)
        assert_type(sandbox.started_ids("amperity"), list[str])
        assert_type(sandbox.requests("amperity"), list[RecordedRequest])
        assert_type(sandbox.respond("GET", "/api/ingest/jobs"), Response)
        assert_type(sandbox.connection_env(), dict[str, str])
        assert_type(CREDENTIALS["amperity"].key, str)
        sandbox.add_job("amperity", row={"read": 10})  # type: ignore[call-arg]
        Fault(drop="after")  # type: ignore[arg-type]  # no such place


def airflow_takes(arguments: TaskArguments) -> BaseOperator:
    """Each of our types of Airflow's arguments is one that Airflow takes."""
    return BaseOperator(**arguments)
