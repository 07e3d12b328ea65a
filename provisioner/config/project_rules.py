"""What projects deployment.yml may name: a part of URLs, databases, folders, units and roles."""

from __future__ import annotations

import re
from collections.abc import Sequence

from provisioner.config.bucket_rules import share_a_folder
from provisioner.config.file import shown
from provisioner.config.rules import Mistakes

DEFAULT = "default"
"""The project that is always there, at the server's own address."""
most_projects = 8
"""IAM takes 10,240 characters of policy for the role of the hosts, and each project has its part in it:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""
most_characters = 13
"""Of the 32 of a MySQL user, mlflow_NAME_application: https://dev.mysql.com/doc/refman/8.4/en/user-names.html"""
# The first parts of MLflow's own paths (mlflow/server, 3.17), and of what a server next to it may have.
reserved_paths = frozenset(
    {
        *("ajax-api", "api", "docs", "experiments", "gateway", "get-artifact", "graphql", "health", "home"),
        *("login", "logout", "metrics", "model-versions", "models", "redoc", "serving"),
        *("signup", "static-files", "v1", "version", "workspace"),
    }
)
# What the roles add to a server's name: to its databases, and to its units.
reserved_ends = ("auth", "backup", "change", "fresh", "garbage", "model", "old", "recover", "rehearsal")


def name(value: str) -> str:
    """Check one name."""
    allowed = (
        f"2 to {most_characters} characters: a small letter first, then small letters, digits and hyphens, "
        "no hyphen at the end and no two in a row"
    )
    fits = re.fullmatch(r"[a-z]([a-z0-9]|-(?=[a-z0-9]))+", value) and len(value) <= most_characters
    if not fits:
        raise ValueError(f"{value!r} is not a name for URL, database and folder; allowed are {allowed}")
    if value in reserved_paths:
        raise ValueError(f"{value!r} cannot be a project: MLflow itself answers at /{value}; choose another")
    for end in reserved_ends:
        if f"-{value}".endswith(f"-{end}"):
            raise ValueError(
                f"{value!r} cannot be a project: what ends in {end} are databases and units of others; "
                "choose another name"
            )
    return value


def folder(name: str, prefix: str) -> str:
    """Give a project's folder of the bucket.

    Args:
        name: the project.
        prefix: the folder of the default project.

    """
    return prefix if name == DEFAULT else f"{name}/{prefix}"


def together(written: object, artifacts: object, backups: object) -> Mistakes:
    """Find what crosses projects as written; what is no text is skipped (it is reported by itself).

    Args:
        written: the list.
        artifacts: artifacts.prefix.
        backups: backups.prefix.

    Returns:
        The mistakes, keys from the top.

    """
    if not isinstance(written, Sequence) or isinstance(written, str):
        return []
    names = [one.get("name") if isinstance(one, dict) else getattr(one, "name", None) for one in written]
    mistakes: Mistakes = []
    if DEFAULT not in names:
        text = f"{DEFAULT} is always there: it answers at the server's own address; add `- name: {DEFAULT}`"
        mistakes.append((("projects",), text))
    if len(names) > most_projects:
        text = f"AWS has room for {most_projects} projects in a deployment (the size of a role's policy)"
        mistakes.append((("projects", most_projects), f"{text}; make another deployment"))
    default = [
        (key, one) for key, one in (("artifacts", artifacts), ("backups", backups)) if isinstance(one, str)
    ]
    for index, name in enumerate(names):
        if not isinstance(name, str):
            continue
        if name in names[:index]:
            text = f"{shown(name)} is the name of two projects, first of number {names.index(name) + 1}"
            mistakes.append((("projects", index, "name"), f"{text}; rename one"))
        elif name != DEFAULT:
            mistakes += _in_the_folder_of_default(index, name, default)
    return mistakes


def on_a_volume(written: object) -> Mistakes:
    """Find further projects where the data are in files on a volume, which one server has so far."""
    if not isinstance(written, Sequence) or len(written) <= 1:
        return []
    text = "database.engine none has room for the default project only so far; choose another engine"
    return [(("projects", 1), text)]


def _in_the_folder_of_default(index: int, name: str, default: list[tuple[str, str]]) -> Mistakes:
    return [
        (
            ("projects", index, "name"),
            f"{name!r} and {key}.prefix {prefix!r} share a folder of the bucket; choose another name",
        )
        for key, prefix in default
        if any(share_a_folder(folder(name, own), prefix) for _, own in default)
    ]
