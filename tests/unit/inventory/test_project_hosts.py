"""Each project is a host of the inventory, at the address of the one that it runs on."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.inventory import auto

PROJECT = Path(__file__).resolve().parents[3]
SPEC = importlib.util.spec_from_file_location("hosts", PROJECT / "plugins/inventory/flowstead_hosts.py")
assert SPEC
assert SPEC.loader
PLUGIN: Any = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(PLUGIN)


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Look up a host, with what provision.py wrote next to the file."""

    def found(_self: Any, inventory: Any, _loader: Any, _path: str, *, cache: bool = True) -> None:
        del cache
        inventory.add_group("tracking_servers")
        inventory.add_host("i-1", "tracking_servers")
        inventory.set_variable("i-1", "ansible_host", "192.0.2.7")

    def look_up(written: str) -> InventoryData:
        variables = tmp_path / "group_vars" / "all" / "provisioned.yml"
        variables.parent.mkdir(parents=True)
        variables.write_text(written)
        inventory = InventoryData()
        PLUGIN.InventoryModule().parse(inventory, DataLoader(), str(tmp_path / "x.aws_ec2.yml"))
        return inventory

    monkeypatch.setattr(auto.InventoryModule, "parse", found)
    return look_up


def members(inventory: InventoryData, group: str) -> list[str]:
    return [host.name for host in inventory.groups[group].get_hosts()]


def test_each_project_is_a_host_at_the_same_address(looked_up: Any) -> None:
    inventory = looked_up("flowstead: {projects: [{name: default}, {name: churn}, {name: a-b}]}\n")

    assert members(inventory, "tracking_servers") == ["i-1", "i-1.churn", "i-1.a-b"]
    assert members(inventory, "projects") == ["i-1.churn", "i-1.a-b"]
    assert members(inventory, "project_a_b") == ["i-1.a-b"]
    assert inventory.groups["project_a_b"].priority > inventory.groups["tracking_servers"].priority
    assert inventory.hosts["i-1.churn"].vars["ansible_host"] == "192.0.2.7"
    assert inventory.hosts["i-1.churn"].vars["tracking_server_project_name"] == "churn"
    assert inventory.hosts["i-1.churn"].vars["tracking_server_host"] == "i-1"
    first, second = (inventory.hosts[f"i-1.{name}"].vars["tracking_server_port"] for name in ("churn", "a-b"))
    assert min(first, second) >= 10000
    assert max(first, second) + 2 < 32768
    assert abs(first - second) > 2
    assert "tracking_server_project_name" not in inventory.hosts["i-1"].vars


@pytest.mark.parametrize("written", ["flowstead: {projects: [{name: default}]}\n", "flowstead: {url: x}\n"])
def test_the_default_project_is_the_host_itself(looked_up: Any, written: str) -> None:
    inventory = looked_up(written)

    assert members(inventory, "tracking_servers") == ["i-1"]
    assert members(inventory, "projects") == []


def test_two_projects_of_the_same_ports_are_refused(looked_up: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PLUGIN, "PORTS", 1)
    with pytest.raises(SystemExit):
        looked_up("flowstead: {projects: [{name: default}, {name: churn}, {name: a-b}]}\n")
