# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What Airbyte documents of its answers, as JSON Schemas written for these tests.

The facts are from the OpenAPI document of the public API, github.com/airbytehq/airbyte-platform,
airbyte-api/server-api/src/main/openapi/api.yaml, commit 310e6cb6ac: JobResponse, JobsResponse, JobStatusEnum,
JobTypeEnum, PublicAccessTokenResponse. The document itself is under the Elastic License 2.0 and is no part of
this repository. ``additionalProperties`` is ours: an answer must have nothing that is not documented.
"""

from __future__ import annotations

from typing import Any

UUID = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
#: As Java writes a time of UTC: without seconds where there are none.
TIME = r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?Z$"
STATUSES = ["pending", "queued", "running", "incomplete", "failed", "succeeded", "cancelled"]
INT64: dict[str, Any] = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
JOB: dict[str, Any] = {
    "type": "object",
    "required": ["jobId", "status", "jobType", "startTime", "connectionId"],
    "additionalProperties": False,
    "properties": {
        "jobId": INT64,
        "status": {"enum": STATUSES},
        "jobType": {"enum": ["sync", "reset", "refresh", "clear"]},
        "startTime": {"type": "string", "pattern": TIME},
        "connectionId": {"type": "string", "pattern": UUID},
        "lastUpdatedAt": {"type": "string", "pattern": TIME},
        "duration": {"type": "string", "pattern": r"^PT(\d+H)?(\d+M)?(\d+S)?$"},
        "bytesSynced": INT64,
        "rowsSynced": INT64,
    },
}
JOBS: dict[str, Any] = {
    "type": "object",
    "required": ["data"],
    "additionalProperties": False,
    "properties": {
        "previous": {"type": "string"},
        "next": {"type": "string"},
        "data": {"type": "array", "items": JOB},
    },
}
TOKEN: dict[str, Any] = {
    "type": "object",
    "required": ["access_token", "token_type", "expires_in"],
    "additionalProperties": False,
    "properties": {
        "access_token": {"type": "string"},
        "token_type": {"const": "Bearer"},
        "expires_in": INT64,
    },
}
