# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What the class of a vendor's hook is checked for when Python makes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_ingestjobs.job import normalise_word

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.hooks.base import IngestJobHook


def check_is_complete(cls: type[IngestJobHook], base: type[IngestJobHook]) -> None:
    """Refuse a vendor's hook that lacks what it must define: Airflow's ``BaseHook`` checks nothing.

    :param cls: the vendor's hook.
    :param base: the class that defines what a vendor's hook may leave as it is.
    :raises TypeError: naming what is missing or wrong.
    """
    required = ["get_record", "to_job", "ping"]
    required += ["list_jobs", "list_window"] if cls.vendor.filters else []
    required += ["send_cancel"] if cls.vendor.cancels else []
    lacking = [name for name in required if getattr(cls, name) is getattr(base, name)]
    if lacking:
        raise TypeError(f"{cls.__name__} must define {', '.join(lacking)}: see IngestJobHook")
    if not cls.states:
        raise TypeError(f"{cls.__name__} must say in `states` what the vendor's words stand for")
    for word in cls.states:
        if word != normalise_word(word):
            raise TypeError(f"{cls.__name__}.states: write {word!r} as {normalise_word(word)!r}")
