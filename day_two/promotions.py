"""Tasks about versions of models: fab promote, demote, promotions."""

from __future__ import annotations

import getpass
import shlex
from typing import Any, cast, get_args

from fabric import task

from day_two import login, registry
from day_two.api import answers, call
from day_two.evidence import Requirement, check, parse
from day_two.moves import move
from day_two.registry import Alias, Model, Record, Version
from day_two.sentences import sentences
from provisioner.errors import FlowsteadError, UsageError

AGAIN = "Run the same command again: it finishes what has begun."


@task(
    positional=["name", "version"],
    iterable=["require"],
    help={
        "name": "The registered model's.",
        "version": "Which of its versions, such as 7.",
        "to": "staging or production.",
        "evidence": "The id of a finished run that made this version or measured it; production needs one.",
        "require": "What a metric of that run must be, such as 'accuracy>=0.9'; as often as you like.",
        "inventory": "As this inventory's administrator, not as MLFLOW_TRACKING_USERNAME.",
    },
)
def promote(
    _context: Any,
    name: str,
    version: str,
    *,
    to: str = "",
    evidence: str = "",
    require: list[str] | None = None,
    inventory: str = "",
) -> None:
    """Put a version of a model into staging or, from there and on evidence, into production."""
    with sentences(), answers(AGAIN):
        alias, number = _alias("--to", to), _number(version)
        requirements = _requirements(require or [], evidence)
        if alias == "production" and not evidence:
            raise UsageError(
                "Production needs evidence.",
                next_step="--evidence RUN_ID names a run that made or measured this version.",
            )
        server = login.find(inventory)
        met = dict.fromkeys(map(str, requirements), 0.0)
        wish = _wish("promote", alias, number, server.username, to=number, evidence=evidence, met=met)

        def decide(model: Model) -> Record | None:
            found = _version(model, number)
            met = _evidence(server, evidence, found, requirements) if evidence else {}
            current = model.aliases.get(alias)
            if current == number and model.is_recorded(alias):
                return None
            if alias == "production" and model.aliases.get("staging") != number:
                raise FlowsteadError(
                    f"Version {number} of {name} is not in staging ({_holder(model, 'staging')}), and "
                    "production takes none from elsewhere; nothing was changed.",
                    next_step=_fab("promote", name, number, "--to", "staging"),
                )
            return _now(wish, model).model_copy(update={"met": met, "instead_of": current})

        done = move(server, name, wish, decide)
        if done is None:
            print(f"Version {number} of {name} is in {alias} already; nothing was changed.")
        else:
            print(f"{name}: {_sentence(done)}.")
            print("To go back:", _fab("demote", name, number, "--from", alias))


@task(
    positional=["name", "version"],
    help={
        "name": "The registered model's.",
        "version": "The version that goes.",
        "from_": "staging or production.",
        "why": "A few words for the record.",
        "remove": "If there was no version before it, leave none in its place.",
        "inventory": "As this inventory's administrator, not as MLFLOW_TRACKING_USERNAME.",
    },
)
def demote(
    _context: Any,
    name: str,
    version: str,
    *,
    from_: str = "",
    why: str = "",
    remove: bool = False,
    inventory: str = "",
) -> None:
    """Take a version of a model out of staging or production: the version before it comes back."""
    with sentences(), answers(AGAIN):
        alias, number = _alias("--from", from_), _number(version)
        server = login.find(inventory)
        wish = _wish("demote", alias, number, server.username, instead_of=number, why=why)

        def decide(model: Model) -> Record | None:
            _version(model, number)
            if model.aliases.get(alias) != number:
                last = [one for one in model.records if one.alias == alias and one.is_done][-1:]
                if last and (last[0].action, last[0].version) == ("demote", number):
                    return None
                raise FlowsteadError(
                    f"Version {number} of {name} is not in {alias} ({_holder(model, alias)}); nothing was "
                    "changed.",
                    next_step=_fab("promotions", name),
                )
            before = model.before(alias)
            if before is None and not remove:
                raise FlowsteadError(
                    f"No version of {name} is on record as in {alias} before version {number}; nothing was "
                    "changed.",
                    next_step="Add --remove to have none there.",
                )
            return _now(wish, model).model_copy(update={"to": before})

        done = move(server, name, wish, decide)
        if done is None:
            print(f"Version {number} of {name} has left {alias} already; nothing was changed.")
        else:
            print(f"{name}: {_sentence(done)}.")


@task(
    help={
        "name": "The registered model's.",
        "inventory": "As this inventory's administrator, not as MLFLOW_TRACKING_USERNAME.",
    }
)
def promotions(_context: Any, name: str, inventory: str = "") -> None:
    """Say which versions of a model are in staging and production, and who put them there, when, on what."""
    with sentences(), answers("docs/connect_a_client.md names the usual reasons."):
        print("\n".join(history(registry.read(login.find(inventory), name))))


def history(model: Model) -> list[str]:
    """Give a line for each alias, and one for each record, the oldest first."""
    lines = []
    for alias in get_args(Alias):
        by_hand = alias in model.aliases and not model.is_recorded(alias)
        note = ", put there by hand: not on record" if by_hand else ""
        lines.append(f"{alias + ':':12} {_holder(model, alias)}{note}")
    lines.append("")
    lines += [
        f"{one.at:%Y-%m-%d %H:%M} UTC  {one.by}: {_sentence(one)}{_state(model, one)}"
        for one in model.records
    ]
    lines += ["Nothing is on record."] if not model.records else []
    # Anyone who may edit the model may write anything into a tag.
    return ["".join(char if char.isprintable() else "?" for char in line) for line in lines]


def _fab(*words: object) -> str:
    return shlex.join(["fab", *map(str, words)])


def _state(model: Model, record: Record) -> str:
    if not record.is_done:
        return " (interrupted: not done)"
    return " (not finished)" if model.is_under_way(record) else ""


def _sentence(record: Record) -> str:
    """Say what a record says."""
    if record.action == "demote":
        back = f"version {record.to} is back" if record.to else "none in its place"
        why = f": {record.why}" if record.why else ""
        return f"version {record.version} out of {record.alias}, {back}{why}"
    instead = f", in place of {record.instead_of}" if record.instead_of not in {None, record.version} else ""
    met = ", ".join(f"{requirement} ({value:.6g})" for requirement, value in record.met.items())
    on = f"; evidence: run {record.evidence}" if record.evidence else ""
    return f"version {record.version} in {record.alias}{instead}{on}{', ' if met else ''}{met}"


def _holder(model: Model, alias: Alias) -> str:
    held = model.aliases.get(alias)
    return f"version {held} is there" if held else "none is there"


def _wish(action: Any, alias: Alias, number: int, user: str, **more: Any) -> Record:
    by = user or f"{getpass.getuser()} (without a login)"
    return Record(action=action, alias=alias, version=number, by=by, **more)


def _now(wish: Record, model: Model) -> Record:
    """Give a wish its time and its place in the history."""
    taken = [one.number for one in (*model.records, *(claim.record for claim in model.claims))]
    return wish.model_copy(update={"number": max(taken, default=0) + 1, "at": model.at})


def _version(model: Model, number: int) -> Version:
    if number not in model.versions:
        there = ", ".join(str(one) for one in sorted(model.versions)) or "none"
        raise FlowsteadError(f"{model.name} has no version {number} (it has: {there}); nothing was changed.")
    found = model.versions[number]
    if found.status != "READY":
        raise FlowsteadError(f"Version {number} of {model.name} is {found.status}, not READY.")
    return found


def _evidence(
    server: login.Login, run_id: str, version: Version, requirements: tuple[Requirement, ...]
) -> dict[str, float]:
    with registry.readable(server, f"run {run_id}"):
        run = call(server, "2.0/mlflow/runs/get", run_id=run_id)["run"]
    return check(run, version, requirements)


def _alias(option: str, word: str) -> Alias:
    for alias in get_args(Alias):
        if word == alias:
            return cast("Alias", alias)
    raise UsageError(
        f"{option} {word or 'is missing'}: there is staging, and there is production.",
        next_step=f"Such as: {option} staging",
    )


def _number(word: str) -> int:
    if not word.isascii() or not word.isdigit() or not int(word):
        raise UsageError(f"{word!r} is not the number of a version, such as 7.")
    return int(word)


def _requirements(words: list[str], run_id: str) -> tuple[Requirement, ...]:
    found = parse(words)
    if found and not run_id:
        raise UsageError(
            "--require asks for metrics, and there is no run to have them.",
            next_step="Add --evidence RUN_ID.",
        )
    return found
