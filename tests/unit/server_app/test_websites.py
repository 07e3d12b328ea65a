"""What a browser meets: whose pages may ask, what an answer lets a page do; and what answers do not name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from served import ASK, SETTINGS, Place

PARTNER = "https://notebooks.example.com"
FOREIGN = [
    "http://localhost:3000",
    "http://127.0.0.1",
    "https://foreign.example",
    "null",
    "https://mlflow.example.com",
]
PREFLIGHT = {"Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "authorization"}


@pytest.fixture
def place(serve: Callable[[Any], int]) -> Place:
    return Place(serve, replace(SETTINGS, origins=(PARTNER, "https://*.lab.example.com")))


def asked(place: Place, origin: str, host: str = "mlflow.example.com", **more: Any) -> int:
    return place.ask(Host=host, Origin=origin, **more)[0]


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("path", [ASK, "/graphql", "/v1/traces", "/signup"])
def test_a_foreign_page_changes_nothing_and_reads_nothing(place: Place, origin: str, path: str) -> None:
    """A page on a user's own machine is as foreign as others."""
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert asked(place, origin, path=path, method=method, body=b"{}") == 403
    assert asked(place, origin, path=path, method="OPTIONS", login="", **PREFLIGHT) == 403
    assert place.mlflow.got == []
    assert asked(place, origin, path=path) == 200
    assert b"origin" not in dict(place.mlflow.got[0][0]["headers"]), "so MLflow gives it no leave to read"


@pytest.mark.parametrize("origin", [PARTNER, "https://a.lab.example.com"])
def test_a_page_that_is_allowed_asks_first_without_a_login(place: Place, origin: str) -> None:
    assert asked(place, origin, method="OPTIONS", login="", **PREFLIGHT) == 200
    assert asked(place, origin, method="POST", body=b"{}") == 200
    assert [dict(scope["headers"])[b"origin"] for scope, _ in place.mlflow.got] == [origin.encode()] * 2
    assert asked(place, origin, method="OPTIONS", login="") == 401, "not a browser's question"


@pytest.mark.parametrize("host", ["mlflow.example.com", "localhost:8443"])
def test_the_servers_own_page_may_also_through_a_tunnel(place: Place, host: str) -> None:
    assert asked(place, f"http://{host}", host, method="POST", body=b"{}") == 200


def test_the_assistant_takes_nobody_for_somebody_at_the_server(place: Place) -> None:
    """It runs programs for 127.0.0.1, from where tunnels come."""
    place.ask("/ajax-api/3.0/mlflow/assistant/message", method="POST", body=b"{}")
    place.ask()
    assistant, other = (scope["client"] for scope, _ in place.mlflow.got)
    assert assistant is None
    assert other[0] == "127.0.0.1"


def test_every_answer_has_a_policy_and_a_logged_file_is_no_page(place: Place) -> None:
    page = place.ask("/")[1]["content-security-policy"]
    assert "frame-ancestors 'self'" in page
    assert "connect-src 'self'" in page
    assert place.ask(login="")[1]["content-security-policy"] == page
    for path in ("/get-artifact?path=x.html", "/api/2.0/mlflow-artifacts/artifacts/1/x.html"):
        assert place.ask(path)[1]["content-security-policy"].startswith("default-src 'none'; ")
    renderer = place.ask("/static-files/lib/notebook-trace-renderer/index.html", "")[1]
    assert "frame-ancestors" not in renderer["content-security-policy"], "notebooks show it"


def test_cookies_are_guarded(place: Place) -> None:
    for given, kept in {
        b"session=a; HttpOnly; Path=/": "session=a; HttpOnly; Path=/; Secure; SameSite=Lax",
        b"session=secure; secure; samesite=Strict": "session=secure; secure; samesite=Strict",
    }.items():
        place.mlflow.headers = [(b"Set-Cookie", given)]
        assert place.ask("/signup")[1]["set-cookie"] == kept


def test_what_went_wrong_names_no_bucket(serve: Callable[[Any], int]) -> None:
    place = Place(serve, replace(SETTINGS, destination="s3://team-mlflow/artifacts"))
    place.mlflow.status = 500
    said = (
        b'{"message": "from s3://team-mlflow/artifacts/1/x, s3://team-mlflow/artifacts: https://team-mlflow.s3.aws/y,'
        b' s3://team-mlflow/z, my-team-mlflow, team-mlflow-2"}'
    )
    place.mlflow.says, place.mlflow.headers = said, [(b"content-length", b"%d" % len(said))]
    status, _, told = place.ask()
    assert status == 500
    assert told["message"] == (
        "from mlflow-artifacts:/1/x, mlflow-artifacts:/: https://BUCKET.s3.aws/y,"
        " s3://BUCKET/z, my-team-mlflow, team-mlflow-2"
    )
    place.mlflow.status = 200
    assert "team-mlflow" in place.ask()[2]["message"], "an address that MLflow signed for a client"


@pytest.mark.parametrize("where", ["Cookie: a=%s", "X-Other: %s"])
def test_headers_and_query_may_have_as_much_as_mlflow_takes(place: Place, where: str) -> None:
    much = "x" * 60_000
    assert place.ask(f"{ASK}?x={much}")[0] == 200
    name, _, value = where.partition(": ")
    assert place.ask(**{name.replace("-", "_"): value % much})[0] == 200
