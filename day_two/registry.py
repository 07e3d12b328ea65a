"""A registered model as promotions see it: its versions, where its aliases point, and what is on record.

Every record is a tag of its own on the version that it is about, so that nobody's later one takes its place.
Who is at work is a tag on the model.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from day_two.api import AnswerError, Server, call, call_at
from provisioner.errors import FlowsteadError

RECORD, CLAIM = "flowstead.promotion.", "flowstead.promoting."
# Where those look who knew MLflow's stages: a tag, with the names that the stages had.
STAGE, ARCHIVED = "stage", "Archived"
STAGES = {"staging": "Staging", "production": "Production"}
PAGE = 1000

Alias = Literal["staging", "production"]


class Record(BaseModel):
    """One promotion or demotion, as it is kept.

    Args:
        number: its place in the model's history, from 1; 0 for what is only wished.
        action: which of the two.
        alias: what was moved.
        version: the version that it is about, and that keeps it.
        to: the version that the alias pointed to afterwards; None if the alias was taken away.
        instead_of: the version that it pointed to before; None if there was none.
        by: the user's name at MLflow.
        at: when, by the server's clock.
        evidence: the id of a run.
        met: each requirement, and the run's value for it.
        why: the person's words.
        is_done: the alias was moved.

    """

    model_config = ConfigDict(frozen=True)

    number: int = 0
    action: Literal["promote", "demote"]
    alias: Alias
    version: int
    to: int | None = None
    instead_of: int | None = None
    by: str
    at: datetime = datetime.fromtimestamp(0, UTC)
    evidence: str = ""
    met: dict[str, float] = {}
    why: str = ""
    is_done: bool = True

    def is_same_wish(self, other: Record) -> bool:
        """Whether the same person wants the same."""
        return all(
            getattr(self, name) == getattr(other, name)
            for name in ("action", "alias", "version", "by", "evidence")
        ) and (self.met.keys() == other.met.keys())


@dataclass(frozen=True)
class Claim:
    """Somebody is at work on a model, or was when their run was killed.

    Args:
        key: the tag's.
        record: what they do.

    """

    key: str
    record: Record

    @classmethod
    def make(cls, record: Record) -> Claim:
        """Make one that is nobody else's."""
        return cls(CLAIM + secrets.token_hex(8), record)


@dataclass(frozen=True)
class Version:
    """A version of a registered model.

    Args:
        number: the version's.
        status: READY when it can be used.
        source: what is loaded: models:/ and the id of a logged model, or a place among a run's artifacts.
        tags: the version's.

    """

    number: int
    status: str
    source: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Model:
    """A registered model at one moment.

    Args:
        name: the model's.
        aliases: the version that each alias points to.
        versions: all of them, by number.
        claims: who is at work.
        records: what is on record, the oldest first.
        at: the moment, by the server's clock.

    """

    name: str
    aliases: Mapping[str, int]
    versions: Mapping[int, Version]
    claims: tuple[Claim, ...]
    records: tuple[Record, ...]
    at: datetime

    def ladder(self, alias: Alias) -> list[int]:
        """Replay the records: the versions that an alias can go back to, and the current one last."""
        rungs: list[int] = []
        for record in self.records:
            if record.alias != alias or not record.is_done or self.is_under_way(record):
                continue
            if record.action == "demote":
                rungs = _below(record.version, rungs)
                continue
            for version in (record.instead_of, record.version):
                if version and rungs[-1:] != [version]:
                    rungs.append(version)
        return rungs

    def before(self, alias: Alias) -> int | None:
        """Give the version that an alias pointed to before the one that it points to; None if there was none.

        If somebody moved the alias by hand, what they moved it to has its place in the history, or none.
        """
        current = self.aliases[alias]
        below = [
            one for one in _below(current, self.ladder(alias)) if one in self.versions and one != current
        ]
        return below[-1] if below else None

    def is_recorded(self, alias: Alias) -> bool:
        """Whether it is on record that somebody promoted the version that an alias points to."""
        current = self.aliases[alias]
        promoted = {
            one.version
            for one in self.records
            if (one.action, one.alias) == ("promote", alias) and one.is_done
        }
        return current in promoted and self.ladder(alias)[-1:] == [current]

    def is_under_way(self, record: Record) -> bool:
        """Whether what is on record has not been carried out yet."""
        return any(claim.record.number == record.number for claim in self.claims) and (
            self.aliases.get(record.alias) != record.to
        )


def _below(version: int, ladder: list[int]) -> list[int]:
    """Give what lies below a version on a ladder, where it stands last; all if it is not there."""
    if version not in ladder:
        return ladder
    return ladder[: len(ladder) - 1 - ladder[::-1].index(version)]


def read(server: Server, name: str) -> Model:
    """Read a registered model with its versions.

    Raises:
        FlowsteadError: there is none of that name, or the caller may not see it.
        OSError: the server does not answer.

    """
    with readable(server, f"registered model {name}"):
        told, at = call_at(server, "2.0/mlflow/registered-models/get", name=name)
    found = told["registered_model"]
    versions = {one.number: one for one in _versions(server, name)}
    tags = [tag for version in versions.values() for tag in version.tags.items()]
    records = [parsed for key, value in tags if key.startswith(RECORD) and (parsed := _record(value))]
    claims = [
        Claim(key, parsed)
        for key, value in _tags(found).items()
        if key.startswith(CLAIM) and (parsed := _record(value))
    ]
    return Model(
        name,
        {one["alias"]: int(one["version"]) for one in found.get("aliases", [])},
        versions,
        tuple(claims),
        tuple(sorted(records, key=lambda record: record.number)),
        at,
    )


@contextlib.contextmanager
def readable(server: Server, what: str) -> Iterator[None]:
    """Say what is not there, or is not for the caller: MLflow makes no difference for some things."""
    try:
        yield
    except AnswerError as error:
        if error.status not in {403, 404}:
            raise
        user, _ = server.login()
        raise FlowsteadError(f"There is no {what} that {user or 'anyone'} may read.") from error


def _versions(server: Server, name: str) -> Iterator[Version]:
    quote = '"' if "'" in name else "'"
    asked = {"filter": f"name = {quote}{name}{quote}", "max_results": str(PAGE)}
    while True:
        told = call(server, "2.0/mlflow/model-versions/search", **asked)
        for one in told.get("model_versions", []):
            yield Version(int(one["version"]), one["status"], one.get("source", ""), _tags(one))
        if not told.get("next_page_token"):
            return
        asked["page_token"] = told["next_page_token"]


def _tags(of: Mapping[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in of.get("tags", [])}


def _record(value: str) -> Record | None:
    """Read a record; None if somebody wrote something else there."""
    try:
        return Record.model_validate_json(value)
    except ValidationError:
        return None


def claim(server: Server, name: str, mine: Claim) -> None:
    """Say that one is at work."""
    path = "2.0/mlflow/registered-models/set-tag"
    call(server, path, "POST", name=name, key=mine.key, value=mine.record.model_dump_json())


def release(server: Server, name: str, done: Claim) -> None:
    """Say that nobody is at work any more."""
    call(server, "2.0/mlflow/registered-models/delete-tag", "DELETE", name=name, key=done.key)


def keep(server: Server, name: str, record: Record) -> None:
    """Put something on record."""
    set_tag(server, name, record.version, f"{RECORD}{record.number:04}", record.model_dump_json())


def set_tag(server: Server, name: str, version: int, key: str, value: str) -> None:
    """Set a tag of a version."""
    where = {"name": name, "version": str(version)}
    call(server, "2.0/mlflow/model-versions/set-tag", "POST", **where, key=key, value=value)


def point(server: Server, name: str, alias: Alias, version: int | None) -> None:
    """Make an alias point to a version, or take it away."""
    path = "2.0/mlflow/registered-models/alias"
    if version is None:
        call(server, path, "DELETE", name=name, alias=alias)
    else:
        call(server, path, "POST", name=name, alias=alias, version=str(version))
