# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What arguments of our sensors and operators may be, for editors and type checkers; nothing of it runs.

Airflow's own arguments are those of its newest version; the meaning of each is in Airflow's documentation.
A class of your own passes on what it does not take itself::

    class NightlySensor(AmperityJobSensor):
        def __init__(self, *, brand: str, **kwargs: Unpack[WaitArguments]) -> None:
            super().__init__(feed_id=FEEDS[brand], **kwargs)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, MutableMapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Required, TypeAlias, TypedDict

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.airflow_compat import DAG, Context, RetryPolicy, TaskGroup, XComArg
    from airflow_provider_ingestjobs.job import Job, JobState

Callback: TypeAlias = "Callable[[Context], Any]"

# A templated argument takes what it stands for, a Jinja template of that, or an upstream task's result.
TemplatedText: TypeAlias = "str | XComArg"
TemplatedTexts: TypeAlias = "str | XComArg | Sequence[str | XComArg]"
TemplatedNumber: TypeAlias = "int | str | XComArg"
TemplatedNumbers: TypeAlias = "int | str | XComArg | Sequence[int | str | XComArg]"
TemplatedMoment: TypeAlias = "date | str | XComArg"


class TaskArguments(TypedDict, total=False):
    """What Airflow's ``BaseOperator`` takes."""

    task_id: Required[str]
    owner: str
    email: str | Sequence[str] | None
    email_on_retry: bool
    email_on_failure: bool
    retries: int | None
    retry_delay: timedelta | float
    retry_exponential_backoff: float
    max_retry_delay: timedelta | float | None
    retry_policy: RetryPolicy | None
    start_date: datetime | None
    end_date: datetime | None
    depends_on_past: bool
    ignore_first_depends_on_past: bool
    wait_for_past_depends_before_skipping: bool
    wait_for_downstream: bool
    dag: DAG | None
    params: MutableMapping[str, Any] | None
    default_args: dict[str, Any] | None
    priority_weight: int
    weight_rule: Any
    queue: str
    pool: str | None
    pool_slots: int
    sla: timedelta | None
    execution_timeout: timedelta | None
    on_execute_callback: Callback | Collection[Callback] | None
    on_failure_callback: Callback | list[Callback] | None
    on_success_callback: Callback | Collection[Callback] | None
    on_retry_callback: Callback | list[Callback] | None
    on_skipped_callback: Callback | Collection[Callback] | None
    pre_execute: Callable[..., Any] | None
    post_execute: Callable[..., Any] | None
    trigger_rule: str
    resources: dict[str, Any] | None
    run_as_user: str | None
    map_index_template: str | None
    max_active_tis_per_dag: int | None
    max_active_tis_per_dagrun: int | None
    executor: str | None
    executor_config: dict[str, Any] | None
    do_xcom_push: bool
    multiple_outputs: bool
    inlets: Any
    outlets: Any
    task_group: TaskGroup | None
    doc: str | None
    doc_md: str | None
    doc_json: str | None
    doc_yaml: str | None
    doc_rst: str | None
    task_display_name: str | None
    logger_name: str | None
    allow_nested_operators: bool
    render_template_as_native_obj: bool | None


class SensorArguments(TaskArguments, total=False):
    """What Airflow's ``BaseSensorOperator`` takes."""

    poke_interval: timedelta | float
    timeout: timedelta | float | None
    soft_fail: bool
    mode: str
    exponential_backoff: bool
    max_wait: timedelta | float | None
    silent_fail: bool
    never_fail: bool


class WaitArguments(SensorArguments, total=False):
    """What all vendors' sensors take, see ``IngestJobSensor``."""

    job_id: TemplatedNumbers | None
    started_from: TemplatedMoment | None
    started_to: TemplatedMoment | None
    look_back: timedelta | float
    min_jobs: int
    settle: timedelta | float
    latest_only: bool
    deferrable: bool
    expected_states: Iterable[JobState | str]
    checks: Mapping[str, float | str] | None
    check: Callable[[Job], bool | str] | None
    missing_grace: timedelta | float
    cancel_on_kill: bool
    include_raw: bool
    start_from_trigger: bool | None
    end_from_trigger: bool | None
    poll_interval: timedelta | float | None


class CancelArguments(TaskArguments, total=False):
    """What all vendors' cancel operators take, see ``CancelJobOperator``."""

    job_id: Required[TemplatedNumber]
    wait_for_termination: bool
    deferrable: bool
    poll_interval: timedelta | float
    timeout: timedelta | float
    missing_grace: timedelta | float
    poke_interval: timedelta | float | None


class StartArguments(TaskArguments, total=False):
    """What all vendors' operators take that start a job, see ``StartJobOperator``."""

    wait_for_termination: bool
    deferrable: bool
    poll_interval: timedelta | float
    timeout: timedelta | float
    expected_states: Iterable[JobState | str]
    checks: Mapping[str, float | str] | None
    check: Callable[[Job], bool | str] | None
    missing_grace: timedelta | float
    listing_delay: timedelta | float
    cancel_on_kill: bool | None
    include_raw: bool
    end_from_trigger: bool | None
    poke_interval: timedelta | float | None


class ListArguments(TaskArguments, total=False):
    """What all vendors' list operators take, see ``ListJobsOperator``."""

    max_jobs: int
    include_raw: bool
