# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""Reading a list by offsets while it shifts: jobs come, jobs leave, and equal ones change places. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_provider_ingestjobs.errors import Unreadable

#: The most pages in a row without anything new, beyond those that all records so far would fill; and the most
#: steps back in one list.
MAX_STALE_PAGES = 3
MAX_STEPS_BACK = 100


@dataclass(frozen=True)
class Page:
    """What matters of one page for where to read next.

    :param keys: id and sort value of each record, in the vendor's order.
    :param is_last: whether the vendor says that nothing follows; ``None`` where it does not say.
    """

    keys: list[tuple[Any, Any]]
    is_last: bool | None


class ShiftingList:
    """Where to read next in a list that is sorted by something that never changes, the newest first.

    Read exactly, each page begins with a record of the page before, so that nothing between the two can have
    been missed. Where it does not, records have left the list: the reader steps back until it does.

    :param name: whose list it is, for errors.
    :param per_page: how many records are asked for.
    :param exact: whether it is read exactly, or each page from where the one before ended.
    """

    def __init__(self, name: str, per_page: int, exact: bool = True) -> None:
        self.offset = 0
        self._name = name
        self._per_page = per_page
        self._exact = exact
        self._seen: set[Any] = set()
        self._border: Any = None
        self._stale_pages = 0
        self._steps_back = 0

    def go_on(self, page: Page) -> bool:
        """Take note of the page at :attr:`offset`, and return whether there is another one to read.

        :param page: the page.
        :raises Unreadable: if the list does not end, or shifts too fast to be read.
        """
        if self._exact and self.offset and not self._joins(page):
            self._step_back()
            return True
        ids = {job_id for job_id, _ in page.keys}
        self._stale_pages = 0 if ids - self._seen else self._stale_pages + 1
        if page.is_last or (page.is_last is None and self._stale_pages):
            return False
        # Records with one sort value may be sent in another order each time, so that few of many are new.
        if self._stale_pages >= MAX_STALE_PAGES + 2 * len(self._seen) // self._per_page:
            raise Unreadable(f"{self._name}'s list does not end: it sends the same jobs again and again")
        self._seen |= ids
        again = _to_read_again(page.keys) if self._exact else 0
        self._border = page.keys[-1][1] if 0 < again <= len(page.keys) // 2 else None
        self.offset += max(len(page.keys) - again, 1)
        return True

    def _joins(self, page: Page) -> bool:
        if not page.keys or page.keys[0][0] not in self._seen:
            return False
        # Of those with the border's sort value, some that were not read may stand before this one.
        return self._border is None or page.keys[0][1] != self._border

    def _step_back(self) -> None:
        self._steps_back += 1
        if self._steps_back > MAX_STEPS_BACK:
            raise Unreadable(f"{self._name}'s list shifts too fast to be read")
        self.offset = max(self.offset - self._per_page // 2, 0)


def _to_read_again(keys: list[tuple[Any, Any]]) -> int:
    """Return how many of a page's records the next page should begin with.

    Those with the last one's sort value may be in another order then, so it is they and the one before them;
    at most half a page, as the reading must get on.
    """
    last = keys[-1][1] if keys else None
    equal = 0
    for _, value in reversed(keys):
        if value != last or equal >= len(keys) // 2:
            break
        equal += 1
    return equal + 1
