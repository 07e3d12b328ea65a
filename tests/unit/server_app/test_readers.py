"""Who may read a registered model, as the gateway asks before each request to one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from flowstead_server.readers import HOLDS_S, MODEL, PATH, Readers
from served import Place


def test_mlflow_is_asked_for_the_model_once_for_each_user_and_model(place: Place) -> None:
    for _ in range(3):
        assert place.ask(f"{PATH}?name=iris")[0] == 204
    (one,) = place.mlflow.got
    assert (one[0]["path"], one[0]["query_string"]) == (MODEL, b"name=iris")
    assert place.ask(f"{PATH}?name=rose")[0] == 204
    assert place.ask(f"{PATH}?name=iris", login="bob:another-right-one")[0] == 204
    assert len(place.mlflow.got) == 3


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_no_is_mlflows_and_is_not_remembered(place: Place, status: int) -> None:
    place.mlflow.status = status
    assert place.ask(f"{PATH}?name=iris")[0] == status
    place.mlflow.status = 200
    assert place.ask(f"{PATH}?name=iris")[0] == 204


def test_a_login_that_is_wrong_gets_no_answer_that_another_got(place: Place) -> None:
    assert place.ask(f"{PATH}?name=iris")[0] == 204
    assert place.ask(f"{PATH}?name=iris", login="alice:wrong")[0] == 401
    assert place.ask(f"{PATH}?name=iris", login="")[0] == 401


def test_a_yes_is_asked_again_after_some_seconds() -> None:
    now, asked, sent = [0.0], list[str](), list[dict[str, Any]]()

    async def mlflow(scope: Any, _receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 200 if len(asked) == 1 else 403, "headers": []})

    async def note(message: Any) -> None:
        sent.append(message)

    readers = Readers(mlflow, clock=lambda: now[0])
    scope = {
        "type": "http",
        "path": PATH,
        "query_string": b"name=iris",
        "headers": [(b"authorization", b"Basic YWxpY2U6eA==")],
    }
    for now[0] in (0, HOLDS_S - 1, HOLDS_S + 1):
        asyncio.run(readers(scope, note, note))  # type: ignore[arg-type] # it is not received from
    assert [one["status"] for one in sent if "status" in one] == [204, 204, 403]
    assert asked == [MODEL, MODEL]
