# SPDX-License-Identifier: Apache-2.0
# Copyright the airflow-provider-ingestjobs authors
"""What a connection may hold, and what is said of one that holds something else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_ingestjobs.errors import InvalidInput
from airflow_provider_ingestjobs.job import JobState
from support.vendors import ADVERITY, AMPERITY, NARRATIVE, POLARIS, VENDORS, VendorCase

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_ingestjobs.hooks.connection import Settings
    from support.connections import Connections
    from support.logs import Logs

CANARY = "canary-6f1c9e7a"


@pytest.fixture
def settings_of(connections: Connections) -> Callable[..., Settings]:
    """Return what the hook reads from a connection with these fields changed."""

    def read(case: VendorCase, **changes: Any) -> Settings:
        settings: Settings = case.hook(connections.add(case.name, **changes)).settings
        return settings

    return read


@pytest.fixture
def refused(connections: Connections) -> Callable[..., InvalidInput]:
    """Return the error for a connection with these fields changed, from a request and from a test alike."""

    def read(case: VendorCase, **changes: Any) -> InvalidInput:
        conn_id = connections.add(case.name, **changes)
        with pytest.raises(InvalidInput) as caught:
            case.hook(conn_id).get_job(case.job_id)
        assert case.hook(conn_id).test_connection() == (False, str(caught.value))
        assert f"connection {conn_id!r}: {caught.value.field.partition(': ')[2]}=" in str(caught.value)
        return caught.value

    return read


class TestHost:
    @pytest.mark.parametrize(
        ("fields", "base_url"),
        [
            ({"host": "acme.datatap.adverity.com"}, "https://acme.datatap.adverity.com"),
            ({"host": " ACME.datatap.adverity.com/ "}, "https://acme.datatap.adverity.com"),
            ({"host": "https://acme.example.com"}, "https://acme.example.com"),
            ({"host": "HTTPS://acme.example.com:8443/"}, "https://acme.example.com:8443"),
            ({"host": "acme.example.com:8443"}, "https://acme.example.com:8443"),
            ({"host": "acme.example.com", "port": 8443}, "https://acme.example.com:8443"),
            ({"host": "acme.example.com", "schema": "https"}, "https://acme.example.com"),
            ({"host": "https://acme.example.com", "schema": "http"}, "https://acme.example.com"),
            ({"host": "acme.example.com:1", "port": 2}, "https://acme.example.com:1"),
            ({"host": "127.0.0.1", "schema": "http", "port": 8099}, "http://127.0.0.1:8099"),
            ({"host": "http://127.0.0.1:8099"}, "http://127.0.0.1:8099"),
            ({"host": "http://127.8.9.10"}, "http://127.8.9.10"),
            ({"host": "http://localhost:8099"}, "http://localhost:8099"),
            ({"host": "http://[::1]:8099"}, "http://[::1]:8099"),
            ({"host": "https://[2001:db8::1]"}, "https://[2001:db8::1]"),
        ],
    )
    def test_good(self, settings_of: Callable[..., Settings], fields: dict[str, Any], base_url: str) -> None:
        assert settings_of(ADVERITY, **fields).base_url == base_url

    @pytest.mark.parametrize(
        ("case", "base_url"),
        [(AMPERITY, "https://app.amperity.com"), (NARRATIVE, "https://api.narrative.io")],
        ids=str,
    )
    @pytest.mark.parametrize("host", [None, ""])
    def test_default(
        self, settings_of: Callable[..., Settings], case: VendorCase, base_url: str, host: str | None
    ) -> None:
        assert settings_of(case, host=host).base_url == base_url

    @pytest.mark.parametrize("case", [ADVERITY, POLARIS], ids=str)
    @pytest.mark.parametrize("host", [None, "", "  ", "/"])
    def test_required(self, refused: Callable[..., InvalidInput], case: VendorCase, host: str | None) -> None:
        assert "enter the host, such as" in refused(case, host=host).fix

    @pytest.mark.parametrize("host", ["http://api.example.com", "http://10.0.0.1", "http://0.0.0.0:80"])
    def test_http_only_to_this_machine(self, refused: Callable[..., InvalidInput], host: str) -> None:
        error = refused(ADVERITY, host=host)
        assert host in str(error)
        assert "use https://" in error.fix

    def test_http_by_the_schema_field(self, refused: Callable[..., InvalidInput]) -> None:
        assert "use https://" in refused(ADVERITY, host="api.example.com", schema="http").fix

    @pytest.mark.parametrize("host", ["http://127.0.0.1.evil.example", "http://localhost.evil.example"])
    def test_http_to_what_only_looks_like_this_machine(
        self, refused: Callable[..., InvalidInput], host: str
    ) -> None:
        assert "use https://" in refused(ADVERITY, host=host).fix

    @pytest.mark.parametrize(
        "host", [f"https://user:{CANARY}@api.example.com", f"user:{CANARY}@api.example.com", f"{CANARY}@x.io"]
    )
    def test_no_credentials_in_the_host(self, refused: Callable[..., InvalidInput], host: str) -> None:
        error = refused(ADVERITY, host=host)
        assert "leave out user, password" in error.fix
        assert CANARY not in str(error)

    @pytest.mark.parametrize(
        "host", ["api.example.com/v1", "https://api.example.com/api", "https://api.example.com?x=1", "a.b#c"]
    )
    def test_nothing_after_the_host(self, refused: Callable[..., InvalidInput], host: str) -> None:
        assert "leave out" in refused(ADVERITY, host=host).fix

    @pytest.mark.parametrize("host", ["ftp://api.example.com", "file:///etc/passwd", "unix://x"])
    def test_other_schemes(self, refused: Callable[..., InvalidInput], host: str) -> None:
        assert "https://" in refused(ADVERITY, host=host).fix

    @pytest.mark.parametrize(
        "host",
        [
            "api..example.com",
            "-api.example.com",
            "api example.com",
            "a\\b.com",
            "[::1",
            "https://",
            "a.com:99999",
            "a.com:http",
            "ab\ncd",
        ],
    )
    def test_no_host_at_all(self, refused: Callable[..., InvalidInput], host: str) -> None:
        assert refused(ADVERITY, host=host).fix

    @pytest.mark.parametrize("port", [99_999, -1])
    def test_a_port_that_is_none(self, refused: Callable[..., InvalidInput], port: int) -> None:
        assert str(port) in str(refused(ADVERITY, host="api.example.com", port=port))


class TestCredentials:
    @pytest.mark.parametrize("case", VENDORS, ids=str)
    @pytest.mark.parametrize("auth", ["key", "login"])
    @pytest.mark.parametrize("password", [None, ""])
    def test_missing(
        self, refused: Callable[..., InvalidInput], case: VendorCase, auth: str, password: str | None
    ) -> None:
        error = refused(case, auth=auth, password=password)
        assert error.field.endswith("password")
        assert "enter a token or key alone, or a login and its secret" in error.fix

    @pytest.mark.parametrize(
        "password", [f"{CANARY}\n", f"{CANARY}\r\nX-Evil: 1", f"{CANARY}ä", f"{CANARY}\x7f"]
    )
    def test_a_key_that_no_header_carries(self, refused: Callable[..., InvalidInput], password: str) -> None:
        error = refused(AMPERITY, password=password)
        assert "line break" in error.fix
        assert CANARY not in str(error)

    @pytest.mark.parametrize("auth", ["key", "login"])
    @pytest.mark.parametrize("password", [f"{CANARY}\n", f" {CANARY}", f"{CANARY}\r\n", f"{CANARY}\t"])
    def test_a_secret_that_was_pasted_with_its_line_end(
        self, refused: Callable[..., InvalidInput], auth: str, password: str
    ) -> None:
        error = refused(NARRATIVE, auth=auth, password=password)
        assert error.field.endswith("password")
        assert "line break" in error.fix
        assert CANARY not in f"{error!r} {error}"

    @pytest.mark.parametrize("case", VENDORS, ids=str)
    def test_a_password_may_have_any_character(
        self, settings_of: Callable[..., Settings], case: VendorCase
    ) -> None:
        assert settings_of(case, auth="login", password="pä ss\nword").password == "pä ss\nword"

    def test_no_secret_in_the_repr(self, settings_of: Callable[..., Settings]) -> None:
        assert CANARY not in repr(settings_of(AMPERITY, password=CANARY))

    @pytest.mark.parametrize("case", VENDORS, ids=str)
    def test_a_connection_that_is_not_there(self, connections: Connections, case: VendorCase) -> None:
        with pytest.raises(InvalidInput) as caught:
            case.hook("nowhere").get_job(case.job_id)
        assert str(caught.value) == (
            f"{case.conn_type}_conn_id='nowhere' cannot be used: "
            f"create this connection in Airflow, with type {case.conn_type!r}. If it is there: "
            "workers and triggerers must all see it, in their environment or secrets backend, and that "
            "backend must answer"
        )

    @pytest.mark.parametrize("case", VENDORS, ids=str)
    def test_the_default_connection(self, connections: Connections, case: VendorCase) -> None:
        assert connections.add(case.name) == f"{case.conn_type}_default" == case.hook().conn_id
        assert case.hook().test_connection()[0]


class TestType:
    @pytest.mark.parametrize("case", VENDORS, ids=str)
    def test_another_vendors(self, connections: Connections, case: VendorCase) -> None:
        other = next(vendor.conn_type for vendor in VENDORS if vendor is not case)
        conn_id = connections.write("theirs", {"conn_type": other, "host": "example.com", "password": "x"})
        with pytest.raises(InvalidInput) as caught:
            case.hook(conn_id).get_job(case.job_id)
        assert str(caught.value) == (
            f"connection 'theirs': type={other!r} cannot be used: use a connection of type {case.conn_type!r}"
        )

    def test_any_other_may_have_what_is_needed(self, connections: Connections) -> None:
        fields = {"conn_type": "http", "host": "example.com", "password": "x"}
        fine = connections.write("fine", {**fields, "extra": {"tenant": "acme"}})
        assert AMPERITY.hook(fine).settings.base_url == "https://example.com"
        with pytest.raises(InvalidInput, match=r"required: .*; its type is 'http', not 'amperity'$"):
            AMPERITY.hook(connections.write("lacks", fields)).get_job(AMPERITY.job_id)


class TestExtras:
    def test_defaults(self, settings_of: Callable[..., Settings]) -> None:
        settings = settings_of(AMPERITY, extra={"requests_per_second": None})
        assert settings.timeout == (10, 60)
        assert settings.extras["api_version"] == "2024-04-01"
        # Amperity's published limit; the others publish none.
        assert settings.requests_per_second == 10
        assert settings_of(NARRATIVE).requests_per_second is None
        assert settings_of(ADVERITY, extra={"auth_scheme": None}).extras["auth_scheme"] == "Bearer"
        assert settings_of(POLARIS).extras["auth_scheme"] == "Basic"

    def test_numbers_as_the_form_sends_them(self, settings_of: Callable[..., Settings]) -> None:
        extra = {"connect_timeout": "1.5", "read_timeout": 2, "requests_per_second": ""}
        settings = settings_of(NARRATIVE, extra=extra)
        assert settings.timeout == (1.5, 2.0)
        assert settings.requests_per_second is None

    @pytest.mark.parametrize("key", ["connect_timeout", "read_timeout", "requests_per_second"])
    @pytest.mark.parametrize(
        "value", [0, -1, "soon", True, [1], "nan", "inf", pytest.param(10**400, id="huge")]
    )
    def test_bad_numbers(self, refused: Callable[..., InvalidInput], key: str, value: Any) -> None:
        error = refused(NARRATIVE, extra={key: value})
        assert error.field.endswith(f"extra {key}")
        assert error.fix == "enter a number above zero"

    @pytest.mark.parametrize("tenant", [None, ""])
    def test_amperity_needs_a_tenant(self, refused: Callable[..., InvalidInput], tenant: str | None) -> None:
        error = refused(AMPERITY, extra={"tenant": tenant})
        assert error.field.endswith("extra tenant")
        assert "required" in error.fix

    @pytest.mark.parametrize("other", ["tenat", "extra__amperity__tenant"])
    def test_what_is_missing_may_be_there_by_another_name(
        self, refused: Callable[..., InvalidInput], other: str
    ) -> None:
        error = refused(AMPERITY, extra={"tenant": None, other: "acme"})
        assert error.fix.endswith(f"; its extra {other!r} is not known")

    @pytest.mark.parametrize("key", ["tenant", "api_version"])
    @pytest.mark.parametrize("value", ["a\nb", "ä", 5, {"a": 1}])
    def test_text_that_becomes_a_header(
        self, refused: Callable[..., InvalidInput], key: str, value: Any
    ) -> None:
        assert refused(AMPERITY, extra={key: value}).field.endswith(f"extra {key}")

    @pytest.mark.parametrize(
        ("case", "scheme", "choices"),
        [
            (ADVERITY, "Basic", "Bearer, Token"),
            (ADVERITY, "bearer", "Bearer, Token"),
            (POLARIS, "Token", "Basic, Basic-raw, Bearer"),
        ],
        ids=str,
    )
    def test_scheme(
        self, refused: Callable[..., InvalidInput], case: VendorCase, scheme: str, choices: str
    ) -> None:
        assert str(refused(case, extra={"auth_scheme": scheme})).endswith(
            f"extra auth_scheme={scheme!r} cannot be used: use one of {choices}"
        )

    @pytest.mark.parametrize(
        "token_url", ["http://id.example.com/token", "id.example.com", "https://a:b@c.de/"]
    )
    def test_token_url_is_an_address_credentials_may_go_to(
        self, refused: Callable[..., InvalidInput], token_url: str
    ) -> None:
        error = refused(POLARIS, auth="login", extra={"token_url": token_url})
        assert error.field.endswith("extra token_url")

    def test_ca_bundle_missing(self, refused: Callable[..., InvalidInput], tmp_path: Path) -> None:
        path = str(tmp_path / "no.pem")
        error = refused(NARRATIVE, extra={"ca_bundle": path})
        assert (error.value, error.fix) == (path, "there is no such file on this machine")

    def test_unknown_ones_warn_with_what_is_known(
        self, settings_of: Callable[..., Settings], logs: Logs
    ) -> None:
        settings_of(AMPERITY, extra={"tenent": CANARY})
        (warning,) = [text for text in logs.warnings if "tenent" in text]
        assert "'amperity_default'" in warning
        assert "tenant" in warning
        # It may be a secret under a misspelt name.
        assert CANARY not in logs.text

    def test_extra_as_a_string_of_json(self, connections: Connections) -> None:
        fields = {"conn_type": "amperity", "password": "x", "extra": json.dumps({"tenant": "acme"})}
        assert AMPERITY.hook(connections.write("stringy", fields)).settings.extras["tenant"] == "acme"


class TestStateMap:
    @pytest.mark.parametrize(
        "state_map",
        [
            {"Up for retry": "running", "no data": "SKIPPED"},
            '{"Up for retry": "running", "no data": "SKIPPED"}',
            {"UP-FOR_RETRY": "Running", "no_data": "skipped"},
        ],
    )
    def test_words(self, settings_of: Callable[..., Settings], state_map: Any) -> None:
        assert settings_of(AMPERITY, extra={"state_map": state_map}).state_map == {
            "up_for_retry": JobState.RUNNING,
            "no_data": JobState.SKIPPED,
        }

    @pytest.mark.parametrize("state_map", ["{", "[]", '"x"', ["x"], 5])
    def test_not_an_object(self, refused: Callable[..., InvalidInput], state_map: Any) -> None:
        assert refused(AMPERITY, extra={"state_map": state_map}).fix == "enter a JSON object"

    @pytest.mark.parametrize("state", ["done", "", None, 1, "suceeded"])  # codespell:ignore
    def test_not_a_state(self, refused: Callable[..., InvalidInput], state: Any) -> None:
        error = refused(AMPERITY, extra={"state_map": {"retry": state}})
        assert "'retry'" in error.fix
        assert "succeeded" in error.fix
