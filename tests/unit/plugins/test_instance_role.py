"""The tasks that see what role a host has, and what it may do: failures are sentences with the next step."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible.errors import AnsibleActionFail

PROVED = {"what": "reading the bucket", "outcome": "proved", "detail": ""}
UNPROVED = {
    "what": "a foreign bucket is refused",
    "outcome": "unproved",
    "detail": "AWS answered NoSuchBucket",
}
WIDE = {"what": "writing elsewhere is refused", "outcome": "failed", "detail": "AWS allowed it: too wide"}


@pytest.fixture(scope="module")
def role(load: Any) -> Any:
    return load("flowstead_instance_role", "action")


@pytest.fixture(scope="module")
def proof(load: Any) -> Any:
    return load("flowstead_role_proof", "action")


def answer(stdout: object, status: int = 0, stderr: str = "") -> dict[str, Any]:
    text = stdout if isinstance(stdout, str) else json.dumps({"proofs": stdout})
    return {"rc": status, "stdout": text, "stderr": stderr}


def test_the_expected_role_is_right(role: Any) -> None:
    assert role.complaint(answer("server\r\n"), "server") == ""


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (answer("\n"), " has no instance profile"),
        (answer("other\n"), " has the role other instead of server. Run provision.py"),
        (
            answer("", 1, "sudo: unable to resolve host\nno answer: timed out"),
            ": no answer: timed out. Flowstead's hosts are",
        ),
        (answer("", 1), ": the metadata service could not be asked. Flowstead's hosts are"),
    ],
)
def test_another_role_or_none_is_told_with_the_next_step(role: Any, said: dict[str, Any], words: str) -> None:
    assert role.complaint(said, "server").startswith(words)


def test_what_is_proved_is_returned(proof: Any) -> None:
    assert proof.proofs(answer([PROVED, UNPROVED]), "host") == [PROVED, UNPROVED]


def test_what_is_not_so_is_told(proof: Any) -> None:
    with pytest.raises(AnsibleActionFail) as raised:
        proof.proofs(answer([PROVED, WIDE], 1), "host")
    assert str(raised.value) == (
        "host: the instance's role is not as it must be.\n"
        "Not so: writing elsewhere is refused. AWS allowed it: too wide."
    )


@pytest.mark.parametrize("stdout", ["", "[]", "no json"])
def test_a_program_that_was_interrupted_is_told(proof: Any, stdout: str) -> None:
    with pytest.raises(AnsibleActionFail, match="could not be tried: no region"):
        proof.proofs(answer(stdout, 2, "no region\n"), "host")
