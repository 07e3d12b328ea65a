from __future__ import annotations

import importlib
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from sandbox.api.call import Call
from sandbox.api.correction import Correction, Corrections
from sandbox.api.refusal import Refusal
from sandbox.corrections.registry import CORRECTIONS
from sandbox.web import HttpRequest, HttpResponse


def call_of(service: str, action: str) -> Call:
    request = HttpRequest("POST", "/", Message(), b"", "127.0.0.1", None)
    return Call(
        request=request,
        signature=None,
        service=service,
        protocol="query",
        form={},
        action=action,
        params={},
        operation=None,
        input={},
    )


def test_every_correction_there_is_is_in_force() -> None:
    directory = Path(importlib.import_module("sandbox.corrections").__file__ or "").parent
    modules = [
        importlib.import_module(f"sandbox.corrections.{path.stem}")
        for path in directory.glob("*.py")
        if path.stem not in {"__init__", "registry"}
    ]
    declared = [module.correction for module in modules]
    assert sorted(map(id, declared)) == sorted(map(id, CORRECTIONS))


@pytest.fixture
def noted() -> tuple[list[Any], Correction]:
    """A correction that does one thing of each kind, and what was done."""
    done: list[Any] = []
    correction = Correction()

    def note(kind: str, result: Any = None) -> Callable[..., Any]:
        def function(*given: Any) -> Any:
            done.append((kind, *given[1:]))
            return result

        return function

    # In another order than that in which they run.
    correction.settles("rds", "Create*")(note("settles"))
    correction.acts("rds", "Create*")(note("acts"))
    correction.follows("rds", "Create*")(note("follows"))
    correction.answers("rds", "Describe*")(note("answers", HttpResponse(200)))
    correction.refuses("rds", "*")(note("refuses"))
    correction.patch(lambda infrastructure: done.append(("patch", infrastructure)))
    return done, correction


def test_what_is_declared_runs_in_the_order_of_the_call(noted: tuple[list[Any], Correction]) -> None:
    done, correction = noted
    real: Any = object()
    corrections = Corrections([correction], real)
    assert done == [("patch", real)]
    call = call_of("rds", "CreateDBInstance")
    assert corrections.before(call) is None
    corrections.after(call)
    corrections.settle(call)
    assert done[1:] == [("refuses",), ("follows",), ("acts", real), ("settles", real)]


def test_an_answer_stands_in_for_moto(noted: tuple[list[Any], Correction]) -> None:
    done, correction = noted
    answer = Corrections([correction], object()).before(call_of("rds", "DescribeDBInstances"))
    assert answer is not None
    assert [kind for kind, *_ in done[1:]] == ["refuses", "answers"]


def test_a_refusal_ends_the_call(noted: tuple[list[Any], Correction]) -> None:
    done, correction = noted
    first = Correction()

    @first.refuses("rds", "DescribeDBInstances")
    def _(_: Call) -> None:
        raise Refusal("Code", "message")

    with pytest.raises(Refusal):
        Corrections([first, correction], object()).before(call_of("rds", "DescribeDBInstances"))
    assert [kind for kind, *_ in done] == ["patch"]


def test_other_services_and_actions_are_left_alone(noted: tuple[list[Any], Correction]) -> None:
    done, correction = noted
    corrections = Corrections([correction], object())
    for call in (call_of("ec2", "CreateVpc"), call_of("rds", "DeleteDBInstance")):
        assert corrections.before(call) is None
        corrections.after(call)
        corrections.settle(call)
    assert done[1:] == [("refuses",)]
