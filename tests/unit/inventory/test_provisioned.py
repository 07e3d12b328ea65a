"""What provision.py writes for the hosts, and how it and the roles' own names come to the roles."""

from __future__ import annotations

import dataclasses
import functools
import operator
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from provisioner.outputs import DatabaseOutputs, Outputs, VolumeOutputs

PROJECT = Path(__file__).resolve().parents[3]
# What of `flowstead` has a name of its own in the inventory.
PARTS_OF = {
    "flowstead": "",
    "tracking_server_project": "projects.",
    "tracking_server_store": "database.",
}
ROLES_FACTS = ("mlflow_release_facts", "mlflow_server_facts")
GIVEN = yaml.safe_load((PROJECT / "inventory" / "group_vars" / "tracking_servers.yml").read_text())
DEFAULTS = {
    path.parts[-3]: yaml.safe_load(path.read_text()) or {}
    for path in sorted(PROJECT.glob("roles/*/defaults/main.yml"))
}
HOST: dict[str, Any] = {"inventory_hostname": "i-1", "groups": {"projects": []}, "hostvars": {}}
TYPES = {
    bool: {"type": "bool"},
    int: {"type": "int"},
    str: {"type": "str"},
    tuple[str, ...]: {"type": "list", "elements": "str"},
}


def specification(kind: Any) -> dict[str, Any]:
    """Give the specification of a value as a type hint says it: text, numbers, lists, dictionaries."""
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind).items()
        options = {
            name: specification(must_be(of)) | ({"required": True} if must_be(of) is of else {})
            for name, of in hints
        }
        return {"type": "dict", "options": options}
    if get_origin(kind) is UnionType:
        return one_of(get_args(kind))
    if kind not in TYPES:
        # A list of dictionaries.
        return specification(get_args(kind)[0]) | {"type": "list", "elements": "dict"}
    return TYPES[kind]


def must_be(kind: Any) -> Any:
    """Give what something is if it is not None."""
    of = get_args(kind) if get_origin(kind) is UnionType else ()
    some = [one for one in of if one is not type(None)]
    return functools.reduce(operator.or_, some) if len(some) < len(of) else kind


def one_of(kinds: tuple[Any, ...]) -> dict[str, Any]:
    """Give the specification of a dictionary that has what one of several dataclasses has."""
    hints = [get_type_hints(kind) for kind in kinds]
    common = set.intersection(*(set(one) for one in hints))
    own = [[name for name in one if name not in common] for one in hints]
    options = {name: specification(of) for one in hints for name, of in one.items()}
    firsts = [names[0] for names in own]
    return {
        "type": "dict",
        "options": {
            name: ({"required": True} if name in common else {}) | of for name, of in options.items()
        },
        "required_together": own,
        "required_one_of": [firsts],
        "mutually_exclusive": [firsts],
    }


def made_up(kind: Any, name: str = "") -> Any:
    """Give something of a kind, of several all together."""
    kind = must_be(kind)
    if get_origin(kind) is UnionType:
        return {key: value for one in get_args(kind) for key, value in made_up(one).items()}
    if dataclasses.is_dataclass(kind):
        return {one: made_up(of, one) for one, of in get_type_hints(kind).items()}
    if get_origin(kind) is tuple:
        return [made_up(get_args(kind)[0], name)]
    # There is always a project of this name.
    return {str: "default" if name == "name" else f"a-{name}", int: 7, bool: True}[kind]


def named(value: object) -> Iterator[str]:
    """Find the parts of `flowstead` that a value names."""
    for template in re.findall(r"\{\{.*?\}\}", str(value), re.DOTALL):
        for of, name in re.findall(r"\b(flowstead|tracking_server_\w+)\.([a-z_.]*[a-z_])", template):
            prefix = PARTS_OF.get(of)
            if prefix is not None:
                yield f"{prefix}{name}"


def test_the_playbooks_check_what_provision_py_writes() -> None:
    text = (PROJECT / "playbooks" / "check_configuration.yml").read_text()
    specifications = [
        task["flowstead_inputs"]["options"]
        for play in yaml.safe_load(text)
        for task in play["tasks"]
        if "flowstead_inputs" in task
    ]
    assert specifications == [{"flowstead": {"required": True} | specification(Outputs)}]


@pytest.mark.parametrize(
    ("database", "words"),
    [
        ({"engine": "none", "volume_id": "vol-1", "device": "/dev/sdf"}, ""),
        ({"engine": "none", "volume_id": "vol-1"}, "parameters are required together: volume_id, device"),
        ({"engine": "none"}, "one of the following is required: identifier, volume_id"),
        ({"volume_id": "vol-1", "device": "/dev/sdf"}, "missing required arguments: engine"),
    ],
)
def test_the_check_accepts_a_volume_in_a_databases_place(database: dict[str, str], words: str) -> None:
    wanted = {"flowstead": {"required": True} | specification(Outputs)}
    checked = ArgumentSpecValidator(wanted).validate(
        {"flowstead": made_up(Outputs) | {"database": database, "moving_to": None}}
    )
    said = " ".join(checked.error_messages)
    assert words in said
    assert bool(words) == bool(said)


@pytest.mark.parametrize(
    "path",
    [
        *PROJECT.glob("inventory/group_vars/*.yml"),
        *PROJECT.glob("playbooks/*.yml"),
        *PROJECT.glob("molecule/**/*.yml"),
    ],
    ids=lambda path: str(path.relative_to(PROJECT)),
)
def test_what_is_used_of_it_is_there(path: Path) -> None:
    for name in named(path.read_text()):
        found: Any = made_up(Outputs)
        for part in name.split("."):
            found = found[0] if isinstance(found, list) else found
            assert part in found, f"{path}: flowstead.{name}"
            found = found[part]


def test_where_nothing_is_known_better_a_name_is_the_roles_own() -> None:
    own = {name: value for role in DEFAULTS.values() for name, value in role.items()}
    outputs = made_up(Outputs)
    # Files of other stores have other names.
    outputs["database"]["engine"] = "postgresql"
    told = {"flowstead": outputs, **HOST}
    variables = {name: trust(value) for name, value in {**GIVEN, **told}.items()}
    templar = Templar(loader=DataLoader(), variables=variables)
    by_roles = {name for name, value in GIVEN.items() if name in own and not any(named(value))}
    values = {name: templar.template(variables[name]) for name in by_roles}
    assert values["database_access_databases"] == ["mlflow", "mlflow_auth"]
    # Only a gateway has an authority to check it by, and only MLflow a user whose the files are.
    assert {name for name in by_roles if values[name] != own[name]} == {
        "mlflow_server_gateway_ca_file",
        "data_volume_owner",
        "data_volume_group",
        "data_volume_mode",
    }


PARTS = {kind: made_up(kind) for kind in (DatabaseOutputs, VolumeOutputs)}


@pytest.mark.parametrize(
    ("kind", "role", "path", "refused"),
    [
        (DatabaseOutputs, "database_access", "", ["a-master_secret_arn", "a-ca_secret_arn"]),
        (VolumeOutputs, "data_volume", "/var/lib/mlflow-data", ["a-ca_secret_arn"]),
    ],
)
def test_the_roles_of_either_kind_of_deployment_are_told_all(
    kind: type, role: str, path: str, refused: list[str]
) -> None:
    outputs = {**made_up(Outputs), "database": PARTS[kind]}
    fact = {"served": [], "serving_port": 1, "config_dir": "", "is_changed": False}
    told = {"flowstead": outputs, **dict.fromkeys(ROLES_FACTS, fact), **HOST}
    variables = {name: trust(value) for name, value in {**GIVEN, **told}.items()}
    templar = Templar(loader=DataLoader(), variables=variables)
    others = {"data_volume", "database_access"} - {role}
    values = {name: templar.template(variables[name]) for name in GIVEN if not name.startswith(tuple(others))}
    assert values["tracking_server_database_role"] == role
    assert values["mlflow_server_database_path"] == path
    assert bool(values["mlflow_server_database_host"]) != bool(path)
    assert values["iam_credentials_refused_secret_arns"] == refused


def trust(value: Any) -> Any:
    if isinstance(value, str):
        return trust_as_template(value)
    return [trust(one) for one in value] if isinstance(value, list) else value


def test_a_name_that_several_roles_use_is_given_once() -> None:
    """The role that it belongs to says it; what others are told refers to that."""
    roles = defaultdict[str, dict[str, set[str]]](lambda: defaultdict(set))
    for role, defaults in DEFAULTS.items():
        for name, value in defaults.items():
            for one in value if isinstance(value, list) else [value]:
                if re.fullmatch(r"/.+|mlflow\w*", str(one)) or (name.endswith("_port") and one):
                    # The system user and the database of that name have nothing to do with each other.
                    kind = "user " if name.endswith(("_user", "_group")) else ""
                    roles[f"{kind}{one}"][role].add(name)
    shared = {value: one for value, one in roles.items() if len(one) > 1}
    assert {"/opt/flowstead/uv/bin/uv", "mlflow_auth", "443"} <= set(shared)
    for value, by_role in shared.items():
        owners = {
            role
            for role, names in by_role.items()
            for name in names
            if "{{" not in str(GIVEN.get(name, "itself"))
        }
        assert len(owners) <= 1, f"{value} is written for {owners}: {dict(by_role)}"
