# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What the vendor's words for states stand for."""

from __future__ import annotations

from typing import Any

from airflow_provider_ingestjobs.job import JobState
from airflow_provider_ingestjobs.sandbox.contract.lab import ContractTests, Lab
from airflow_provider_ingestjobs.sandbox.logs import captured_logs

NEW_WORD = "Brand-new word"


def spellings(word: str) -> set[str]:
    """Return a word as a vendor might come to spell it.

    :param word: a vendor's word for a state.
    """
    return {
        word.upper(),
        word.lower(),
        *(word.replace("_", other).replace("-", other).replace(" ", other) for other in " -_"),
    }


class StateTests(ContractTests):
    """The vendor's words for states."""

    def test_it_has_the_words_that_every_vendor_has(self) -> None:
        assert {JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED} <= self.case.words.keys()

    def test_each_word_is_read_as_its_state(self, lab: Lab, word_for: JobState) -> None:
        job_id = lab.add_job(word_for)
        job = lab.hook().get_job(job_id)
        assert job.state is word_for
        assert job.vendor_state == self.case.words[word_for]

    def test_neither_case_nor_separators_matter(self, lab: Lab, word_for: JobState) -> None:
        hook = lab.hook()
        word = self.case.words[word_for]
        read = {spelled: hook.words.state_of(spelled) for spelled in spellings(word)}
        assert read == dict.fromkeys(read, word_for)

    def test_an_unknown_word_is_no_end_and_is_warned_of_once(self, lab: Lab) -> None:
        job_id = lab.add_job(timeline=[(0, NEW_WORD)])
        with captured_logs() as logs:
            hook = lab.hook()
            jobs = [hook.get_job(job_id) for _ in range(3)]
        assert {job.state for job in jobs} == {JobState.UNKNOWN}
        assert jobs[0].vendor_state == NEW_WORD
        assert not jobs[0].state.is_terminal
        (warning,) = [text for text in logs.warnings if NEW_WORD in text]
        assert "state_map" in warning

    def test_a_wait_goes_on_past_an_unknown_word(self, lab: Lab) -> None:
        timeline: list[Any] = [(0, NEW_WORD), (0.2, self.case.words[JobState.SUCCEEDED])]
        job_id = lab.add_job(timeline=timeline, starts="first_read")
        with captured_logs() as logs:
            outcome = lab.wait("poke", job_id=job_id)
        assert outcome.value["state"] == "succeeded"
        assert any(NEW_WORD in text for text in logs.warnings)

    def test_the_connection_may_map_an_unknown_word(self, lab: Lab) -> None:
        job_id = lab.add_job(timeline=[(0, NEW_WORD)])
        hook = lab.hook(extra={"state_map": {NEW_WORD: "failed"}})
        assert hook.get_job(job_id).state is JobState.FAILED
