"""A host in memory, whose programs die when they are told to: before, during or after anything they do."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from fake_world import NAMES, OLD, PORTS, KilledError, World
from flowstead_host.errors import ChangeError
from flowstead_host.host import Host


class FakeHost(Host):
    """One program's view of the host.

    Args:
        world: the host.
        fate: the number of the act at which it dies (`before`, `during`, `after`) or that `fails`.
    """

    def __init__(self, world: World, fate: tuple[int, str] = (0, ""), *, room: bool = True) -> None:
        gateway = SimpleNamespace(name="mlflow.test", program="", port=443, ca_file="")
        settings: Any = SimpleNamespace(
            config_dir="/nowhere", gateway=gateway, room_for_two=room, owner_passfile_unit="owner"
        )
        super().__init__(settings)
        self.world, self.fate = world, fate
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

        self.act(f"start {version}", start, lambda: self.world.waiting.discard(version))

    def stop(self, version: str) -> None:
        def stop() -> None:
            self.world.waiting.discard(version)
            self.world.running.discard(version)

        self.act(f"stop {version}", stop)

    def at_boot(self, version: str, *, started: bool) -> None:
        change = self.world.at_boot.add if started else self.world.at_boot.discard
        self.act(f"at boot {version} {started}", lambda: change(version))

    def ask(self, version: str, *, on_copies: bool = False) -> None:
        if on_copies:
            right = (self.world.on_copies, self.world.copies) == (version, self.world.schemas[version])
        else:
            schemas = {self.world.databases[name][0] for name in NAMES if name in self.world.databases}
            right = version in self.world.running and schemas == {self.world.schemas[version]}
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
                assert {world.databases[name][0] for name in NAMES} == {self.world.schemas[version]}
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

    def get_ready(self, version: str, questions: Any, *, migrates: bool, starts: bool) -> None:
        assert ("switch",) in questions
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
        fresh = list(addresses.values())

        def migrate(names: list[str]) -> None:
            world.databases.update(
                {name: (self.world.schemas[version], world.databases[name][1]) for name in names}
            )

        self.act("migrate", lambda: migrate(fresh), lambda: migrate(fresh[:1]))

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

    # The databases: on an engine that can do nothing to two of them together

    def data(self, version: str, *words: str, what: str) -> dict[str, Any]:  # noqa: ARG002 - as the host's
        method = getattr(self, f"data_{words[0].replace('-', '_')}")
        answer: dict[str, Any] | None = method(*words[1:])
        return answer or {}

    def need_password(self) -> None:
        if not self.world.has_password and not self.is_dead:
            raise AssertionError("the owner's password is not there")

    def data_check(self) -> dict[str, Any]:
        assert not [name for name in self.world.databases if name.endswith("_old")]
        return {"database_mib": 1}

    def data_take(self, reason: str, version: str) -> dict[str, Any]:
        assert not self.world.running
        name = f"{version}-{reason}" if self.world.databases["mlflow"][0] else ""
        self.act("dump", lambda: self.world.spool.add(name), lambda: self.world.spool.add("half a dump"))
        return {"name": name}

    def data_copy(self, depth: str) -> dict[str, Any]:
        self.need_password()
        schema = self.world.databases["mlflow"][0]
        self.act(
            "copy",
            lambda: setattr(self.world, "copies", schema),
            lambda: setattr(self.world, "copies", "half"),
        )
        return {"copied": depth, "addresses": {"copies": "copies"}}

    def data_wipe(self) -> None:
        self.need_password()
        assert not self.world.on_copies
        self.act("wipe", lambda: setattr(self.world, "copies", ""))

    def each(
        self, what: str, effect: Callable[[str], object], half: Callable[[str], object] | None = None
    ) -> None:
        """Do something with each of the databases, one after the other, as the owner."""
        self.need_password()
        for name in NAMES:
            self.act(
                f"{what} {name}",
                lambda name=name: effect(name),
                half and (lambda name=name: half(name)),  # type: ignore[misc]
            )

    def data_prepare(self, _backup: str) -> dict[str, Any]:
        fresh = self.world.databases
        self.each("make fresh", lambda name: fresh.update({f"{name}_fresh": ("", "")}))
        # One has rows alone in its dumps.
        return {"addresses": {NAMES[0]: f"{NAMES[0]}_fresh"}}

    def data_restore(self, backup: str) -> None:
        fresh = self.world.databases
        assert fresh[f"{NAMES[0]}_fresh"][0] == self.world.schemas[OLD]
        self.each(
            "restore",
            lambda name: fresh.update({f"{name}_fresh": (self.world.schemas[OLD], f"of {backup}")}),
            lambda name: fresh.update({f"{name}_fresh": ("half", "half")}),
        )

    def data_fresh(self) -> dict[str, Any]:
        assert not self.world.running
        there = self.world.databases
        self.each(
            "copy",
            lambda name: there.update({f"{name}_fresh": there[name]}),
            lambda name: there.update({f"{name}_fresh": ("half", "half")}),
        )
        return {name: f"{name}_fresh" for name in NAMES}

    def rename(self, name: str, other: str) -> None:
        there = self.world.databases
        if name in there:
            assert other not in there
            there[other] = there.pop(name)

    def data_switch(self) -> dict[str, Any]:
        assert not self.world.running

        def switch(name: str) -> None:
            self.rename(name, f"{name}_old")
            self.rename(f"{name}_fresh", name)

        self.each("switch", switch, lambda name: self.rename(name, f"{name}_old"))
        return {"switched": True}

    def data_switch_back(self) -> dict[str, Any]:
        assert not self.world.running
        switched = [name for name in NAMES if f"{name}_old" in self.world.databases]

        def back(name: str) -> None:
            if f"{name}_old" in self.world.databases:
                self.rename(name, f"{name}_fresh")
                self.rename(f"{name}_old", name)

        def half(name: str) -> None:
            if f"{name}_old" in self.world.databases:
                self.rename(name, f"{name}_fresh")

        self.each("switch back", back, half)
        return {"switched": bool(switched)}

    def data_drop_fresh(self) -> None:
        self.each("drop fresh", lambda name: self.world.databases.pop(f"{name}_fresh", None))

    def data_drop_old(self) -> None:
        self.each("drop old", lambda name: self.world.databases.pop(f"{name}_old", None))
