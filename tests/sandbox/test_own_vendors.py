# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""A sandbox for vendors of somebody else's."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from starlette.exceptions import HTTPException

from airflow_provider_ingestjobs.sandbox import VENDORS, Credentials, Fault, Sandbox
from airflow_provider_ingestjobs.sandbox.__main__ import main
from airflow_provider_ingestjobs.sandbox.demo import demo_job
from airflow_provider_ingestjobs.sandbox.polaris import Polaris
from airflow_provider_ingestjobs.sandbox.vendor import Call, VendorApi, json_response, listing

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.routing import Route

    from airflow_provider_ingestjobs.sandbox.job_store import SandboxJob

ROOT = Path(__file__).parents[2]


class Acme(VendorApi):
    """A vendor that none of the package's own stands in the way of."""

    name = "acme"
    conn_type = "acme_jobs"
    owns_path = re.compile(r"/acme/")
    credentials = Credentials(key="acme-key", login="acme-login", password="acme-password")
    waiting_words = frozenset({"waiting"})
    ended_words = frozenset({"done"})
    cancel_state = "done"
    token_lifetime = 60
    demo_jobs = (demo_job("success", "acme-1", [(0, "working"), (5, "done")]),)

    def routes(self) -> list[Route]:
        return [
            self.route("GET", "/acme/syncs", self.list_jobs),
            self.route("GET", "/acme/syncs/{job_id}", self.get_job),
        ]

    def authenticate(self, call: Call) -> None:
        if call.scheme_and_secret() != ("bearer", self.credentials.key):
            raise HTTPException(401, "Who are you?")

    def list_jobs(self, call: Call) -> Response:
        self.store.read_list(call.now)
        return listing({}, "syncs", [self.rendered(job, "") for job in self.store.by_created.walk(True)])

    def get_job(self, call: Call) -> Response:
        job = self.store.get(call.path("job_id"), call.now)
        if job is None:
            raise HTTPException(404, "No such sync")
        return json_response(self.rendered(job, ""))

    def error(self, status: int, message: str) -> dict[str, Any]:
        return {"oops": message}

    def record(self, job: SandboxJob, base_url: str) -> dict[str, Any]:
        return {"id": job.id, "status": job.state}

    def new_id(self, number: int, now: float) -> str:
        return f"acme-{number}"

    def prepare(self, job: SandboxJob, now: float) -> None:
        pass

    def connection_extra(self, base_url: str, auth: str) -> dict[str, Any]:
        return {}


class LikePolaris(Acme):
    """One whose paths begin as some of Imply Polaris' do."""

    name = "like_polaris"
    conn_type = "like_polaris"
    owns_path = re.compile(r"/v1/")

    def routes(self) -> list[Route]:
        return [self.route("GET", "/v1/syncs/{job_id}", self.get_job)]


def test_a_vendor_of_ones_own_has_all_that_a_sandbox_offers() -> None:
    with Sandbox(vendors=[Acme]) as sandbox:
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {sandbox.connection('acme')['password']}"
        job = sandbox.add_job("acme_jobs", timeline=[(0, "working")])
        assert session.get(f"{sandbox.url}/acme/syncs", timeout=5).json() == {
            "syncs": [{"id": job, "status": "working"}]
        }
        sandbox.set_state("acme", job, "done")
        assert session.get(f"{sandbox.url}/acme/syncs/{job}", timeout=5).json()["status"] == "done"
        sandbox.add_fault(Fault(vendor="acme_jobs", status=503))
        refused = session.get(f"{sandbox.url}/acme/syncs", timeout=5)
        assert (refused.status_code, set(refused.json())) == (503, {"oops"})
        assert [request.status for request in sandbox.requests("acme")] == [200, 200, 503]
        assert set(sandbox.connection_env()) == {"AIRFLOW_CONN_ACME_JOBS_DEFAULT"}
        with pytest.raises(ValueError, match="vendor must be one of acme, not 'narrative'"):
            sandbox.add_job("narrative")


def test_it_may_stand_beside_ours() -> None:
    with Sandbox(vendors=[*VENDORS, Acme], demo=True) as sandbox:
        held = {name: vendor["jobs"] for name, vendor in sandbox.describe()["vendors"].items()}
        assert held == {"amperity": 5, "adverity": 6, "polaris": 4, "narrative": 4, "acme": 1}


@pytest.mark.parametrize("vendors", [[Polaris, LikePolaris], [LikePolaris, Polaris]])
def test_two_vendors_of_one_path_are_refused(vendors: list[type[VendorApi]]) -> None:
    with pytest.raises(
        ValueError, match=r"both answer /v1/\S+; give one of them a sandbox of its own"
    ) as told:
        Sandbox(vendors=vendors)
    assert "polaris and" in str(told.value)
    assert "like_polaris" in str(told.value)


def test_each_of_two_vendors_of_one_path_may_have_a_sandbox() -> None:
    with Sandbox(vendors=[Polaris]) as one, Sandbox(vendors=[LikePolaris]) as other:
        assert one.add_job("polaris", "a") == other.add_job("like_polaris", "a") == "a"


class Unreachable(Acme):
    """One that forgot a path of its own."""

    owns_path = re.compile(r"/acme/syncs/")


class AlsoAcme(Acme):
    """One that has another's connection type."""

    name = "also_acme"


@pytest.mark.parametrize(
    ("vendors", "message"),
    [
        ([], "at least one"),
        ([Acme, Acme], "Acme and Acme are both called"),
        ([Acme, AlsoAcme], "Acme and AlsoAcme are both called 'acme_jobs'"),
        ([Unreachable], "acme has a route /acme/syncs that its owns_path does not match"),
    ],
)
def test_vendors_that_could_not_work_are_refused(vendors: list[type[VendorApi]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sandbox(vendors=vendors)


def test_the_command_line_serves_the_named_vendor_instead_of_the_four() -> None:
    vendor = f"{Polaris.__module__}.{Polaris.__name__}"
    command = [sys.executable, "-m", "airflow_provider_ingestjobs.sandbox", "--port", "0", "--vendor", vendor]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        lines = [next(process.stdout) for _ in range(4)]
        process.send_signal(signal.SIGTERM)
        lines += process.stdout.readlines()
    assert process.returncode == 0
    exports = [line for line in lines if line.startswith("export ")]
    assert len(exports) == 1
    assert exports[0].startswith("export AIRFLOW_CONN_IMPLY_POLARIS_DEFAULT=")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("no.such.Vendor", "cannot import no.such.Vendor"),
        ("pathlib.Path", "pathlib.Path is not a subclass of VendorApi"),
        (f"{__name__}.Unreachable", "owns_path does not match"),
    ],
)
def test_the_command_line_refuses_what_is_no_vendor(
    path: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--vendor", path])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_vendor_that_starts_no_jobs() -> None:
    sandbox = Sandbox(vendors=[Acme])
    with pytest.raises(ValueError, match="acme starts no jobs in the sandbox"):
        sandbox.plan_start("acme", [(0, "working")])
    job = sandbox.add_job("acme")
    assert (sandbox.job_ids("acme_jobs"), sandbox.started_ids("acme")) == ([job], [])
