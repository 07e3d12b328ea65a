"""The databases of a host in memory, and the settings of two stores of them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from fake_world import NAMES, OLD, World
from flowstead_host import moving
from flowstead_host.errors import ChangeError
from flowstead_host.settings import is_imported

if TYPE_CHECKING:
    from fake_host import FakeHost


class FakeStores:
    """The settings of two stores on a host in memory."""

    target = SimpleNamespace(store="another", owner_passfile="", owner_passfile_unit="owner")

    def __init__(self, host: FakeHost) -> None:
        self.host = host

    def put_aside(self) -> None:
        self.host.act("put the settings aside", lambda: setattr(self.host.world, "has_aside", True))

    def use_new(self) -> None:
        self.use("new")

    def use_old(self) -> None:
        self.use("old")

    def use(self, which: str) -> None:
        world = self.host.world
        assert world.has_aside or self.host.is_dead
        self.host.act(
            f"use the {which} store",
            lambda: world.settings.__setitem__(slice(None), [which, which]),
            lambda: world.settings.__setitem__(0, which),
        )

    def forget(self) -> None:
        self.host.act("forget the settings", lambda: setattr(self.host.world, "has_aside", False))


class FakeDatabases:
    """What a program asks of databases, each of its acts one to die at."""

    world: World
    is_dead: bool
    # The databases that are meant: those that served first, or those of a new store.
    there: dict[str, tuple[str, str]]
    # And which of them.
    names: tuple[str, ...]
    act: Callable[..., None]

    # The databases: on an engine that can do nothing to two of them together

    def data(self, version: str, *words: str, what: str) -> dict[str, Any]:  # noqa: ARG002 - as the host's
        self.there, self.names = self.world.databases, NAMES
        if words[0] == "--tracking":
            self.names, words = NAMES[:1], words[1:]
        if words[0] == "--store":
            assert self.world.has_aside or self.is_dead
            self.there = {moving.SOURCE: self.there, moving.TARGET: self.world.elsewhere}[words[:2]]
            words = words[2:]
        method = getattr(self, f"data_{words[0].replace('-', '_')}")
        answer: dict[str, Any] | None = method(*words[1:])
        return answer or {}

    def need_password(self) -> None:
        if not self.world.has_password and not self.is_dead:
            raise AssertionError("the owner's password is not there")

    def data_check(self) -> dict[str, Any]:
        assert not [name for name in self.there if name.endswith("_old")]
        return {"database_mib": 1}

    def data_check_empty(self) -> None:
        if any(self.there[name][0] for name in NAMES):
            raise ChangeError("it has tables already")

    def data_take(self, reason: str, version: str) -> dict[str, Any]:
        assert not self.world.running
        assert self.there is self.world.databases
        # Or it would be taken for what was brought from another server: of one database alone.
        assert not is_imported(f"now-{version}-{reason}")
        name = f"{version}-{reason}" if self.there["mlflow"][0] else ""
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
        for name in self.names:
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
        there = self.there
        is_moving = there is self.world.elsewhere
        assert is_moving or not self.world.running
        self.each(
            "copy",
            lambda name: there.update({f"{name}_fresh": there[name]}),
            lambda name: there.update({f"{name}_fresh": ("half", "half")}),
        )
        return {store: f"{name}_fresh" for store, name in zip(moving.STORES, NAMES, strict=True)}

    def rename(self, name: str, other: str) -> None:
        there = self.there
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
        switched = [name for name in NAMES if f"{name}_old" in self.there]

        def back(name: str) -> None:
            if f"{name}_old" in self.there:
                self.rename(name, f"{name}_fresh")
                self.rename(f"{name}_old", name)

        def half(name: str) -> None:
            if f"{name}_old" in self.there:
                self.rename(name, f"{name}_fresh")

        self.each("switch back", back, half)
        return {"switched": bool(switched)}

    def data_drop_fresh(self) -> None:
        self.each("drop fresh", lambda name: self.there.pop(f"{name}_fresh", None))

    def data_drop_old(self) -> None:
        self.each("drop old", lambda name: self.there.pop(f"{name}_old", None))
