# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What OpenLineage is told of ended jobs. Imported only when the OpenLineage provider asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.event_v2 import InputDataset, OutputDataset
from openlineage.client.facet_v2 import OutputDatasetFacet, RunFacet, output_statistics_output_dataset

from airflow_provider_ingestjobs.job import Job

if TYPE_CHECKING:
    from airflow_provider_ingestjobs.vendors import Vendor

OutputStatistics = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet


@attrs.define
class IngestJobsRunFacet(RunFacet):
    """The jobs that a task waited for, as :meth:`Job.to_dict` writes them.

    :param jobs: one dict for each job.
    """

    jobs: list[dict[str, Any]]


def lineage_of(jobs: Sequence[Job], vendor: Vendor, namespace: str) -> OperatorLineage[Any, Any]:
    """Return the data sets that jobs read and wrote, and the jobs themselves as a run facet.

    Row counts are given to a data set where the job wrote no other: vendors' counts are the job's.

    :param jobs: ended jobs.
    :param vendor: whose row says which details name what a job read and wrote.
    :param namespace: where the data sets live, such as ``amperity://app.amperity.com``.
    """
    inputs = {name for job in jobs for name in _names(job, vendor.reads)}
    outputs: dict[str, OutputDataset] = {}
    for job in jobs:
        names = list(_names(job, vendor.writes))
        written = (
            (job.rows.inserted or 0) + (job.rows.updated or 0) if job.rows.inserted is not None else None
        )
        for name in names:
            facets: dict[str, OutputDatasetFacet] = {}
            if written is not None and len(names) == 1:
                facets["outputStatistics"] = OutputStatistics(rowCount=written)
            outputs[name] = OutputDataset(namespace=namespace, name=name, outputFacets=facets)
    return OperatorLineage(
        inputs=[InputDataset(namespace=namespace, name=name) for name in sorted(inputs)],
        outputs=list(outputs.values()),
        run_facets={"ingestJobs": IngestJobsRunFacet(jobs=[job.to_dict() for job in jobs])},
    )


def _names(job: Job, keys: Sequence[str]) -> Iterator[str]:
    for key in keys:
        value = job.details.get(key)
        for name in value if isinstance(value, list) else [value]:
            if name is not None:
                yield str(name)
