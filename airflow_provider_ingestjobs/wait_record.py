# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a task says of its present wait, in one XCom, whichever process waits: others read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_provider_ingestjobs.selection import Selection

#: The XCom's key.
WAIT_XCOM_KEY = "_ingestjobs_wait"


@dataclass(frozen=True)
class WaitRecord:
    """A wait, as its task has begun it.

    :param hook: class path of the hook that reads the jobs.
    :param conn_type: the connection's type.
    :param conn_id: the Airflow connection.
    :param hook_params: further arguments of the hook, such as a Polaris project.
    :param target: the vendor's ids of the jobs, or the selection.
    :param started_at: when the wait began; it tells one wait of a task from another.
    :param deadline: when it ends, whether or not the jobs have ended.
    :param is_single: whether one job was asked for by its id, so that the task returns a dict, not a list.
    :param by: the trigger that began it; ``None`` if a worker did.
    """

    hook: str
    conn_type: str
    conn_id: str
    hook_params: Mapping[str, Any]
    target: list[str] | Selection
    started_at: datetime
    deadline: datetime
    is_single: bool = False
    by: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the wait as JSON data."""
        target = (
            {"selection": self.target.to_dict()}
            if isinstance(self.target, Selection)
            else {"job_ids": self.target}
        )
        return {
            "hook": self.hook,
            "conn_type": self.conn_type,
            "conn_id": self.conn_id,
            "hook_params": dict(self.hook_params),
            **target,
            "started_at": self.started_at.isoformat(),
            "deadline": self.deadline.isoformat(),
            "is_single": self.is_single,
            **({"by": self.by} if self.by else {}),
        }

    @classmethod
    def from_dict(cls, data: Any) -> WaitRecord:
        """Return the wait that :meth:`to_dict` wrote, in this release or another one.

        :param data: its dict; unknown keys are left out.
        :raises KeyError, ValueError, TypeError, AttributeError: where the data is no wait.
        """
        if not isinstance(data, Mapping):
            raise TypeError(f"a wait is a dict, not {data!r}")
        return cls(
            hook=str(data["hook"]),
            conn_type=str(data["conn_type"]),
            conn_id=str(data["conn_id"]),
            hook_params={str(name): str(value) for name, value in (data.get("hook_params") or {}).items()},
            target=_target(data),
            started_at=_moment(data["started_at"]),
            deadline=_moment(data["deadline"]),
            is_single=bool(data.get("is_single")),
            by=data.get("by"),
        )


def _target(data: Mapping[str, Any]) -> list[str] | Selection:
    if "selection" not in data:
        return [str(one) for one in data["job_ids"]]
    selection = Selection.from_dict(data["selection"])
    if not selection.filters:
        raise ValueError("a selection has filters")
    return selection


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset")
    return moment


def is_wait(kept: Any, started_at: str) -> bool:
    """Whether what a task says of its present wait is about the wait that began then.

    :param kept: what the XCom has.
    :param started_at: when that began, as the XCom has it.
    """
    return isinstance(kept, Mapping) and kept.get("started_at") == started_at
