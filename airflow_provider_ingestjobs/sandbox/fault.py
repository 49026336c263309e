# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Trouble on purpose: what a ``Fault`` may do to a vendor's answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Fault:
    """What goes wrong with the requests that match.

    Without ``status`` and ``body`` it spoils the vendor's real answer. With ``after`` the vendor does what it
    is asked to, whatever its client gets to see.

    :param vendor: only this vendor's requests; None: everybody's.
    :param method: only this HTTP method.
    :param path: only paths in which this regular expression is found.
    :param status: answer with this status; without ``after`` the vendor never sees the request.
    :param headers: headers set on the answer, e.g. ``{"Retry-After": "2"}``.
    :param body: answer with this body, a dict as JSON; with a status alone it is the vendor's error body.
    :param delay: seconds before anything happens; with ``after``, before anything is answered.
    :param drop: ``"before"`` closes the connection instead of answering, and without ``after`` the vendor
        never sees the request; ``"mid_body"`` closes it half-way through the answer.
    :param drip: seconds between the bytes of the answer's body.
    :param endless: the answer's body never ends.
    :param times: how many requests it hits; None: until cleared.
    :param skip: how many matching requests pass before it strikes; those that an earlier fault hits do not
        count.
    :param after: strikes after the vendor has dealt with the request, whose real answer is lost, or late.
    """

    vendor: str | None = None
    method: str | None = None
    path: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str | dict[str, Any] | None = None
    delay: float = 0.0
    drop: Literal["before", "mid_body"] | None = None
    drip: float | None = None
    endless: bool = False
    times: int | None = 1
    skip: int = 0
    after: bool = False

    def __post_init__(self) -> None:
        if self.drop not in (None, "before", "mid_body"):
            raise ValueError(f"drop must be 'before', 'mid_body' or None, not {self.drop!r}")
        if self.times is not None and self.times < 1:
            raise ValueError(f"times must be at least 1, or None, not {self.times!r}")
        if self.skip < 0:
            raise ValueError(f"skip must be 0 or more, not {self.skip!r}")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"status must be between 200 and 599, not {self.status!r}")
        if self.path is not None:
            re.compile(self.path)
        if self.after and not (self.replaces_answer or self.drop or self.delay):
            raise ValueError("after needs a status, a body, a drop or a delay: what else befalls the answer?")

    def matches(self, vendor: str, method: str, path: str) -> bool:
        """Whether a request is hit.

        :param vendor: the vendor's name in the sandbox.
        :param method: the request's HTTP method, in capital letters.
        :param path: the request's path.
        """
        return (
            self.vendor in (None, vendor)
            and (self.method is None or self.method.upper() == method)
            and (self.path is None or re.search(self.path, path) is not None)
        )

    @property
    def replaces_answer(self) -> bool:
        """Whether it answers in the vendor's place."""
        return self.status is not None or self.body is not None

    @property
    def needs_socket(self) -> bool:
        """Whether it takes time or a connection: without a socket there is neither."""
        return bool(self.delay or self.drop or self.drip or self.endless)

    @property
    def content(self) -> bytes | None:
        """The body as bytes."""
        if self.body is None or isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()
