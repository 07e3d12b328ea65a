"""A host in memory, whose programs die when they are told to: before, during or after anything they do."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from fake_databases import FakeDatabases, FakeStores
from fake_world import NAMES, PORTS, KilledError, World
from flowstead_host import moving
from flowstead_host.errors import ChangeError
from flowstead_host.host import Host


class FakeHost(FakeDatabases, Host):
    """One program's view of the host.

    Args:
        world: the host.
        fate: the number of the act at which it dies (`before`, `during`, `after`) or that `fails`.
    """

    def __init__(self, world: World, fate: tuple[int, str] = (0, ""), *, room: bool = True) -> None:
        gateway = SimpleNamespace(name="mlflow.test", program="", port=443, ca_file="")
        settings: Any = SimpleNamespace(
            config_dir="/nowhere",
            gateway=gateway,
            room_for_two=room,
            store="one",
            passfile="",
            databases=[SimpleNamespace(uri=name) for name in NAMES],
        )
        super().__init__(settings)
        self.world, self.fate = world, fate
        self.stores: Any = FakeStores(self)
        # The databases that are meant: those that served first, or those of a new store.
        self.there = world.databases
        self.is_dead = False
        # Each act with the step of the change to which it belongs.
        self.acts: list[tuple[str, str]] = []
        world.process = self

    def act(self, name: str, effect: Callable[[], object], half: Callable[[], object] | None = None) -> None:
        """Do something to the host; `half` is what it leaves when it is interrupted."""
        if self.is_dead:
            raise KilledError
        journal = self.world.notes.get("journal") or {}
        self.acts.append((journal.get("step", ""), name))
        self.world.clock += 1
        number, moment = self.fate
        if len(self.acts) != number:
            effect()
            return
        if moment == "fails":
            (half or (lambda: None))()
            raise ChangeError(f"{name} fails")
        if moment == "during":
            (half or (lambda: None))()
        if moment == "after":
            effect()
        self.is_dead = True
        raise KilledError

    # Units and gateway

    def serving(self) -> dict[str, Any]:
        return copy.deepcopy(self.world.serving)

    def note_serving(self, serving: Mapping[str, Any]) -> None:
        self.act("note what serves", lambda: setattr(self.world, "serving", dict(serving)))

    def port(self, version: str) -> int:
        return PORTS[version]

    def start(self, version: str, *, afresh: bool = False) -> None:  # noqa: ARG002 - as the host's
        def start() -> None:
            self.world.waiting.discard(version)
            self.world.running.add(version)
            self.world.runs_with.setdefault(version, list(self.world.settings))

        self.act(f"start {version}", start, lambda: self.world.waiting.discard(version))

    def stop(self, version: str) -> None:
        def stop() -> None:
            self.world.waiting.discard(version)
            self.world.running.discard(version)
            self.world.runs_with.pop(version, None)

        self.act(f"stop {version}", stop)

    def at_boot(self, version: str, *, started: bool) -> None:
        change = self.world.at_boot.add if started else self.world.at_boot.discard
        self.act(f"at boot {version} {started}", lambda: change(version))

    def ask(self, version: str, *, on_copies: bool = False) -> None:
        if on_copies:
            right = (self.world.on_copies, self.world.copies) == (version, self.world.schemas[version])
        else:
            served = self.world.served
            schemas = {served[name][0] for name in NAMES if name in served}
            right = version in self.world.running and schemas == {self.world.schemas[version]}
            right = right and self.world.runs_with[version] == self.world.settings
        self.act(f"ask {version}", lambda: None)
        if not right:
            raise ChangeError(f"MLflow {version} does not answer as it should")

    def gateway(self, *words: str) -> None:
        world = self.world

        def obey() -> None:
            if words[0] == "hold":
                world.is_held = True
            elif words[0] == "release":
                # Whoever is let in finds a server that can serve.
                [version] = [one for one, port in PORTS.items() if str(port) == world.upstream]
                assert version in world.running
                assert {world.served[name][0] for name in NAMES} == {self.world.schemas[version]}
                assert world.runs_with[version] == world.settings
                world.is_held = False
            elif words[0] == "upstream":
                world.upstream = words[1]

        self.act(f"gateway {words[0]}", obey)

    def start_on_copies(self, version: str) -> None:
        self.act("start on copies", lambda: setattr(self.world, "on_copies", version))

    def stop_on_copies(self) -> None:
        self.act("stop on copies", lambda: setattr(self.world, "on_copies", ""))

    def begin_owner(self) -> None:
        self.act("fetch the password", lambda: setattr(self.world, "has_password", True))

    @contextmanager
    def owner(self, *, keep: bool = False) -> Iterator[None]:
        """As the host's, with a password that is fetched as soon as that is begun."""
        try:
            if not self.world.has_password:
                self.begin_owner()
            yield
        except BaseException:
            self.forget_owner()
            raise
        if not keep:
            self.forget_owner()

    def forget_owner(self) -> None:
        self.act("remove the password", lambda: setattr(self.world, "has_password", False))

    # Programs

    def get_ready(
        self,
        version: str,
        questions: Any,
        *,
        migrates: bool = False,
        moves: bool = False,
        starts: bool = False,
    ) -> None:
        assert [words for words in questions if words[-1] == "switch"]
        assert not moves or (*moving.TARGET, "switch") in questions
        assert (("fresh",) in questions) == migrates
        assert version not in self.world.running or not starts
        self.act(f"get ready {version}", lambda: self.world.waiting.update([version] * starts))

    def load_migration(self, version: str) -> None:
        self.act(f"load the migration to {version}", lambda: None)

    def use_as_client(self, version: str, token: str) -> None:
        world = self.world
        assert world.upstream == str(PORTS[version])
        assert bool(token) == world.is_held
        self.act("use as a client", lambda: None)

    def migrate(self, version: str, addresses: Mapping[str, str]) -> None:
        self.need_password()
        world = self.world
        if "copies" in addresses:
            self.act("migrate the copies", lambda: setattr(world, "copies", self.world.schemas[version]))
            return
        fresh, there = list(addresses.values()), self.there

        def migrate(names: list[str]) -> None:
            there.update({name: (self.world.schemas[version], there[name][1]) for name in names})

        self.act("migrate", lambda: migrate(fresh), lambda: migrate(fresh[:1]))

    def logged(self, version: str) -> dict[str, int]:
        assert version not in self.world.running, "somebody may write meanwhile"
        self.act("ask what users logged", lambda: None)
        return self.world.logged

    def transfer(self, version: str, addresses: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        self.need_password()
        world = self.world
        for source, target in addresses.values():
            assert world.elsewhere[target][0] == world.schemas[version]
            schema, rows = world.databases[source]
            # Who serves may write meanwhile: a rehearsal's copy is only for itself.
            rows = "of a rehearsal" if world.running else rows
            self.act(
                f"copy the rows of {source}",
                lambda target=target, content=(schema, rows): world.elsewhere.update({target: content}),
                lambda target=target, schema=schema: world.elsewhere.update({target: (schema, "half")}),
            )
        return {"tracking": {"rows": 1, "bytes": 1, "checksum": "1"}}

    def begin_keeping(self, version: str, backup: str) -> None:
        """Nothing is done until somebody waits for it."""

    def end_keeping(self, version: str, backup: str) -> None:  # noqa: ARG002 - as the host's
        assert backup in self.world.spool
        self.act("keep the backup", lambda: self.world.bucket.add(backup))

    def clear_spool(self) -> None:
        self.act("clear the spool", self.world.spool.clear)

    def clock(self) -> float:
        return self.world.clock

    def now(self) -> float:
        return self.world.clock

    def pause(self, seconds: float) -> None:
        self.world.clock += seconds
