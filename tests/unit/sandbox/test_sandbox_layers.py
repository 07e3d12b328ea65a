"""The sandbox's packages stand on one another: each knows those below it only."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
BELOW: dict[str, set[str]] = {
    "real": set(),
    "mapping": {"real"},
    "api": {"mapping", "real"},
    "corrections": {"api", "mapping", "real"},
}
TOP = {"cli", "control", "control_plane", "daemon"}
PRODUCT = {"ansible", "fabfile", "plugins", "provision", "provisioner", "roles"}


def imports() -> dict[str, set[str]]:
    """Modules of the sandbox, and what each imports, in functions too."""
    files = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (ROOT / "sandbox").rglob("*.py")
    }
    found: dict[str, set[str]] = {}
    for module, path in files.items():
        named: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                inside = {f"{node.module}.{alias.name}" for alias in node.names}
                named |= inside & files.keys() or {str(node.module)}
        found[module] = named
    return found


def own_imports() -> dict[str, set[str]]:
    return {
        module: {name for name in named if name.partition(".")[0] == "sandbox"}
        for module, named in imports().items()
    }


def test_nothing_of_the_product_is_known() -> None:
    for module, named in imports().items():
        assert not {name.partition(".")[0] for name in named} & PRODUCT, module


def test_no_module_comes_back_to_itself() -> None:
    order = list(TopologicalSorter(own_imports()).static_order())
    assert order.index("sandbox.real.vpc") < order.index("sandbox.mapping.topology")


@pytest.mark.parametrize("package", BELOW)
def test_a_package_knows_those_below_it_only(package: str) -> None:
    allowed = BELOW[package] | {package}
    for module, named in own_imports().items():
        if not module.startswith(f"sandbox.{package}."):
            continue
        parts = {name.split(".")[1] for name in named}
        assert parts & BELOW.keys() <= allowed, module
        assert not parts & TOP, module


def test_what_makes_real_things_knows_nothing_of_aws() -> None:
    for module, named in own_imports().items():
        if module.startswith("sandbox.real."):
            assert all(name.startswith("sandbox.real") for name in named), module
