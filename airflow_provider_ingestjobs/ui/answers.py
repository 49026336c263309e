# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What the page's server reads of a request and makes of an answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from airflow_provider_ingestjobs.errors import InvalidInput


def answer(request: Request, found: Mapping[str, Any], read_at: datetime | None = None) -> Response:
    """Return JSON data; nothing but headers, where whoever asks has it already.

    :param request: the request.
    :param found: the data.
    :param read_at: when the vendor was read, which is no part of what is compared.
    """
    body = json.dumps(found, separators=(",", ":")).encode()
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if read_at is not None:
        headers["X-Read-At"] = read_at.isoformat()
    known = request.headers.get("if-none-match", "").removeprefix("W/")
    if known == tag and request.method == "GET":
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def params_from(text: str) -> dict[str, Any]:
    """Return the further arguments of a hook that an address names.

    :param text: a JSON object, or nothing.
    :raises InvalidInput: if it is neither.
    """
    if not text:
        return {}
    try:
        params = json.loads(text)
    except ValueError:
        params = None
    if not isinstance(params, dict):
        raise InvalidInput("params", text, 'give a JSON object, such as {"name": "value"}')
    return params
