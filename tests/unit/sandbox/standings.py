"""What a kind is here: real, accepted without effect, or refused; docs/sandbox.md lists what is proved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asking import code_of

REAL, NO_EFFECT, REFUSED = "real", "no effect", "refused"
HARMLESS = {"reconcile", "follow"}
"""What is asked of real things whatever a call changes: to be as the account says."""

Proof = Callable[[Any], Any]
Proofs = dict[str, tuple[str, Proof]]


def proving(proofs: Proofs) -> Callable[[str, str], Callable[[Proof], Proof]]:
    """Return the decorator of a table's proofs: what is proved, of which kind.

    A proof that something is real returns what is true of it; one that it is refused, the calls (method
    and parameters); one that it has no effect makes the call.
    """

    def proves(standing: str, kind: str) -> Callable[[Proof], Proof]:
        def enter(proof: Proof) -> Proof:
            proofs[kind] = standing, proof
            return proof

        return enter

    return proves


def prove(proofs: Proofs, kind: str, here: Any) -> None:
    standing, proof = proofs[kind]
    shown = proof(here)
    if standing == REAL:
        assert shown, kind
    elif standing == REFUSED:
        assert shown
        for function, arguments in shown:
            assert code_of(function, **arguments) == "UnsupportedInSandbox", arguments
    else:
        assert set(here.asked()) <= HARMLESS, kind


def listed(page: str, heading: str) -> dict[str, str]:
    """Read a table of the page: standings by kind."""
    section = page.partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    rows = [row.strip("| ").split(" | ") for row in section.splitlines() if row.startswith("| ")]
    return {kind: standing for kind, standing, *_ in rows[1:]}


def standing_of(proofs: Mapping[str, tuple[str, Proof]]) -> dict[str, str]:
    return {kind: standing for kind, (standing, _) in proofs.items()}
