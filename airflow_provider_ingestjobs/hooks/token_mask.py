# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Hiding new tokens from Airflow's logs."""

from __future__ import annotations

import threading
from collections import deque

from airflow_provider_ingestjobs.airflow_compat import mask_secret


class TokenMask:
    """Has Airflow mask tokens, in the thread that made this object alone.

    To mask a secret, Airflow asks its supervisor over the one line that the task has to it, which not every
    release guards against two threads. What other threads hand in waits for :meth:`catch_up`.
    """

    def __init__(self) -> None:
        self._thread = threading.get_ident()
        self._new: deque[str] = deque()

    def __call__(self, token: str) -> None:
        """Mask a token, now or when the thread that may do it catches up.

        :param token: the token.
        """
        self._new.append(token)
        if threading.get_ident() == self._thread:
            self.catch_up()

    def catch_up(self) -> None:
        """Mask what other threads have handed in."""
        while self._new:
            mask_secret(self._new.popleft())
