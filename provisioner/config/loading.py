"""deployment.yml is read, and every mistake in it is told together."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from provisioner.config import bucket_rules, network_rules, project_rules, rules
from provisioner.config.database import DEFAULT_ENGINE, ENGINES, Sqlite, engine_of
from provisioner.config.deployment import Artifacts, Backups, Deployment, Network, Project, Server
from provisioner.config.file import Key, Mistake, dotted, read
from provisioner.config.messages import explain
from provisioner.config.section import Section

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


def load(path: Path) -> Deployment:
    """Read and check a deployment.yml.

    Args:
        path: the file.

    Returns:
        The deployment; paths in it are absolute.

    Raises:
        ConfigurationError: with all mistakes together, each with file, line and key.

    """
    source = read(path)
    try:
        deployment = Deployment.model_validate(source.data, context={"directory": path.absolute().parent})
    except ValidationError as error:
        engine = engine_of(source.data.get("database"))
        mistakes = [*_mistakes(error, engine), *_across(source.data, engine)]
        raise source.error(dict.fromkeys(mistakes)) from error
    deployment._source = source  # noqa: SLF001 - our own class; pydantic's frozen models have no other way
    return deployment


def allowed_keys(engine: str = DEFAULT_ENGINE) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Return the keys of each section of deployment.yml, by the section's path.

    Args:
        engine: the database's, which decides about its keys; empty: none that there is.

    """
    found: dict[tuple[str, ...], tuple[str, ...]] = {(): tuple(Deployment.model_fields)}
    for name, fields in Deployment.model_fields.items():
        if isinstance(fields.annotation, type) and issubclass(fields.annotation, Section):
            found[(name,)] = tuple(fields.annotation.model_fields)
    found["projects",] = tuple(Project.model_fields)
    if engine:
        found["database",] = tuple(ENGINES[engine].model_fields)
    return found


def _mistakes(error: ValidationError, engine: str) -> Iterable[Mistake]:
    for detail in error.errors(include_url=False):
        if detail["loc"][:2] == ("database", engine):
            # pydantic names the one of several kinds, too.
            detail["loc"] = ("database", *detail["loc"][2:])
        inner: tuple[tuple[Key, str], ...] = detail.get("ctx", {}).get("mistakes", ())
        if inner:
            for key, text in inner:
                yield Mistake(dotted((*detail["loc"], *key)), text)
        else:
            yield Mistake(dotted(detail["loc"]), _explained(detail, engine))


def _explained(detail: ErrorDetails, engine: str) -> str:
    key = detail["loc"]
    others = [
        name for name, kind in ENGINES.items() if key[:1] == ("database",) and key[-1] in kind.model_fields
    ]
    if detail["type"] == "extra_forbidden" and others:
        return (
            f"is a key of {' and '.join(others)}; database.engine {engine} has no such key: remove the line"
        )
    return explain(detail, allowed_keys(engine))


def _across(data: dict[str, Any], engine: str) -> Iterable[Mistake]:
    """Find what crosses values; pydantic stops short of it where one of the values is wrong by itself."""

    def section(name: str) -> dict[str, Any]:
        written = data.get(name)
        return written if isinstance(written, dict) else {}

    def items(written: object) -> list[object]:
        return written if isinstance(written, list) else []

    access, network, database = section("access"), section("network"), section("database")
    kind = ENGINES.get(engine)
    version = kind.model_fields.get("engine_version") if kind else None
    count = section("server").get("count", Server().count)
    access_cidrs = None if kind is Sqlite else database.get("access_cidrs", ())
    artifacts, backups = (
        section(name).get("prefix", kind().prefix)
        for name, kind in (("artifacts", Artifacts), ("backups", Backups))
    )
    found: dict[Key, rules.Mistakes] = {
        ("access",): network_rules.access_width(
            items(access.get("cidrs")), allow_world=access.get("allow_world") is True
        ),
        ("network",): network_rules.network_layout(
            network.get("cidr"), items(network.get("public_subnets")), items(network.get("private_subnets"))
        ),
        ("database",): kind.across(database) if kind else [],
        (): [
            *bucket_rules.folders(artifacts, backups),
            *project_rules.together(data.get("projects", Deployment().projects), artifacts, backups),
            *bucket_rules.another_bucket(
                network.get("flow_logs", Network().flow_logs),
                section("artifacts").get("bucket", Artifacts().bucket),
                data.get("name", "flowstead"),
                data.get("region", "us-east-1"),
            ),
            *rules.backup_tools(
                section("server").get("image", Server().image),
                str(database.get("engine_version", version.default)) if version and count else "",
            ),
            *rules.servers(count, access_cidrs),
            *(project_rules.on_a_volume(data.get("projects")) if kind is Sqlite else ()),
        ],
    }
    for above, mistakes in found.items():
        for key, text in mistakes:
            yield Mistake(dotted((*above, *key)), text)
