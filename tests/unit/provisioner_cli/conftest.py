"""An account in this process, and a machine that runs provision.py on it."""

import functools
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from provisioner import cli, config, known_hosts, ssh_key
from provisioner.engine import plan
from provisioner.engine.apply import apply
from provisioner.outputs import Outputs
from provisioner.session import Options, Session
from tests.unit.provisioner.conftest import account
from tests.unit.provisioner.copies import Copies
from tests.unit.provisioner.moto_account import Account
from tests.unit.provisioner_cli.oven import Oven

__all__ = ["account"]

ADDRESS = "203.0.113.7/32"


def sample(**changes: Any) -> Outputs:
    """Give outputs, made up but for some."""

    def made_up(kind: type) -> Any:
        if get_origin(kind) is UnionType:
            kind = get_args(kind)[0]
        if is_dataclass(kind):
            return kind(**{name: made_up(of) for name, of in get_type_hints(kind).items()})
        if get_origin(kind) is tuple and is_dataclass(get_args(kind)[0]):
            return (made_up(get_args(kind)[0]),)
        return {str: "made-up", int: 7, bool: False}.get(kind, ())

    return replace(made_up(Outputs), **changes)


@dataclass
class Result:
    """What a run of provision.py left."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> dict[str, Any]:
        """What it printed, as JSON."""
        found: dict[str, Any] = json.loads(self.out)
        return found


@dataclass
class Machine:
    """A machine with a deployment.yml and an inventory directory."""

    directory: Path
    account: Account
    run: Callable[..., Result]

    @property
    def inventory(self) -> Path:
        """The inventory directory."""
        return self.directory / "inventory"

    def configure(self, text: str) -> None:
        """Write deployment.yml."""
        (self.directory / "deployment.yml").write_text(f"access: {{cidrs: [{ADDRESS}]}}\n{text}")

    def pin_host(self) -> None:
        """Have met the host already: nothing listens at the addresses of this account."""
        server, address = (self.account.live(name) for name in ("server", "server_address"))
        key = known_hosts.HostKey("ssh-ed25519", "AAAAC3NzaC1lZDI1NTE5AAAAIDeF6byvStbrrEQchCHWax7")
        pin = known_hosts.Pin(address.facts["PublicIp"], server.id, (key,))
        known_hosts.write(self.inventory / "known_hosts", pin)


@pytest.fixture
def machine(
    tmp_path: Path, account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Machine:
    def run(*words: str) -> Result:
        own = ["--config", "deployment.yml", "--inventory", "inventory"]
        monkeypatch.setattr(sys, "argv", ["provision.py", *own, *words])
        code = cli.main()
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    monkeypatch.chdir(tmp_path)
    machine = Machine(tmp_path, account, run)
    machine.configure("")
    return machine


_first_run = Copies()
_pair = functools.cache(ssh_key.generate_pair)


@pytest.fixture
def made(machine: Machine) -> Machine:
    """The machine after its first `provision.py`, which met the host."""

    def make() -> None:
        session = Session(Options(machine.directory / "deployment.yml", machine.inventory))
        aws = machine.account.open()
        apply(plan.make(session.wanted(session.key(make=False)).graph, aws), aws)

    pair = _pair(Path("flowstead"))
    replace(pair, private_path=ssh_key.path_of("flowstead", machine.inventory)).save()
    _first_run.begin(make)
    machine.pin_host()
    first = machine.run()
    assert first.code == 0, first.err
    return machine


@pytest.fixture
def oven(machine: Machine) -> Oven:
    machine.configure("tags: {cost-centre: '4711'}\n")
    return Oven(machine)


@pytest.fixture
def refused(tmp_path):
    def load(text):
        path = tmp_path / "deployment.yml"
        path.write_text(text)
        with pytest.raises(config.ConfigurationError) as caught:
            config.load(path)
        assert caught.value.exit_code == 2
        return str(caught.value).replace(f"{path}", "deployment.yml").splitlines()

    return load


@pytest.fixture
def accepted(tmp_path):
    def load(text):
        path = tmp_path / "deployment.yml"
        path.write_text(text)
        return config.load(path)

    return load


def files(machine):
    return {
        str(path.relative_to(machine.inventory)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in machine.inventory.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def as_of_0_1(text):
    """Give the variables as release 0.1.0 wrote those that stood at the top."""
    return re.sub(r"""^  (\w+): ["']?([^"'\n]+)["']?$""", r'flowstead_\1: "\2"', text, flags=re.MULTILINE)


def secret(machine, name):
    text = machine.account.call("secretsmanager", "get_secret_value", SecretId=f"flowstead/flowstead/{name}")
    return json.loads(text["SecretString"])
