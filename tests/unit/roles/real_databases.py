"""A host in memory whose databases are real: what the engines do to them is what it may die of."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from engine_kits import Kit, next_to
from fake_host import FakeHost
from fake_world import NAMES, OLD, World
from flowstead_host import moving
from flowstead_host.engines import Engines
from flowstead_host.settings import Backups, Gateway, Settings
from kill_matrix import LATER, NEVER, Stage

# What acts on databases are called.
MARK = "db "


def settings_for(databases: Any, **more: Any) -> Settings:
    """Return settings with these databases, for a host that is this one."""
    given: dict[str, Any] = {
        **dict.fromkeys(("store", "home", "config_dir", "admin", "secrets_file", "passfile"), ""),
        **dict.fromkeys(("owner_passfile", "owner_passfile_unit", "garbage_age"), ""),
        **dict.fromkeys(("start_timeout_s", "migration_timeout_s", "rehearsal_port"), 0),
        "user": "root",
        "group": "root",
        "room_for_two": True,
        "gateway": Gateway("", "", 443, ""),
        "databases": tuple(databases),
        "backups": Backups("bucket", "backups", "eu-west-1"),
    }
    return Settings(**{**given, **more})


class Bench:
    """Real databases, one kit for each.

    Args:
        kits: by the database's name.
        settings: more of the settings.
        folder: where dumps are.
        store: which of a world's stores they are: `databases` or `elsewhere`.

    """

    def __init__(
        self,
        kits: Mapping[str, Kit],
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        *,
        store: str = "databases",
        **settings: Any,
    ) -> None:
        self.kits, self.store = kits, store
        self.folder = folder
        self.databases = [kit.database(name) for name, kit in kits.items()]
        self.engines = Engines(settings_for(self.databases, **settings))
        self.host: RealHost | None = None
        for kit in dict.fromkeys(kits.values()):
            kit.watch(monkeypatch, self.tell)

    def tell(self, name: str, effect: Callable[[], object], half: Callable[[], object] | None) -> None:
        """Have the program that acts on the databases tell it; others only look."""
        if self.host is None:
            effect()
        else:
            self.host.act(MARK + name, effect, half)

    def place(self, world: World) -> None:
        """Have the databases of a world."""
        for name, kit in self.kits.items():
            for one in next_to(name):
                kit.put(one, getattr(world, self.store).get(one))

    def read(self, world: World) -> None:
        """Have a world know what is in the databases."""
        found = {one: kit.look(one) for name, kit in self.kits.items() for one in next_to(name)}
        there = {name: content for name, content in found.items() if content is not None}
        setattr(world, self.store, there)

    @contextlib.contextmanager
    def used_by(self, host: RealHost) -> Iterator[None]:
        """Have a program act on the databases."""
        self.host = host
        try:
            yield
        finally:
            self.host = None
            self.read(host.world)


class RealHost(FakeHost):
    """One program's view of it."""

    def __init__(
        self,
        world: World,
        fate: tuple[int, str] = (0, ""),
        *,
        benches: Mapping[str, Bench],
        room: bool = True,
    ) -> None:
        super().__init__(world, fate, room=room)
        self.benches = benches
        self.bench = benches["databases"]

    def data(self, version: str, *words: str, what: str) -> dict[str, Any]:
        asked = words[2:] if words[0] == "--store" else words
        self.bench = self.benches["elsewhere" if words[:2] == moving.TARGET else "databases"]
        method = getattr(self, f"real_{asked[0].replace('-', '_')}", None)
        if method is None:
            return super().data(version, *words, what=what)
        words = asked
        self.need_password()
        with self.bench.used_by(self):
            answer: dict[str, Any] = method(*words[1:]) or {}
        return answer

    def migrate(self, version: str, addresses: Mapping[str, str]) -> None:
        if "copies" in addresses:
            super().migrate(version, addresses)
            return
        self.need_password()
        schema = self.world.schemas[version]
        try:
            for store, uri in addresses.items():
                kit = self.bench.kits[dict(zip(moving.STORES, NAMES, strict=True))[store]]
                self.act(f"{MARK}migrate", partial(kit.migrate, uri, schema), partial(kit.migrate_half, uri))
        finally:
            self.bench.read(self.world)

    def transfer(self, version: str, addresses: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """As rows are copied; how that is done is a test of its own (test_transfer.py)."""
        assert version
        assert tuple(addresses) == moving.STORES
        self.need_password()
        source, bench = self.benches["databases"], self.benches["elsewhere"]
        try:
            for name in NAMES:
                content, target = source.kits[name].look(name), bench.kits[name]
                assert content
                assert target.look(f"{name}_fresh") == (content[0], "")
                half = (content[0], "half")
                fresh = f"{name}_fresh"
                self.act(
                    f"{MARK}copy rows", partial(target.put, fresh, content), partial(target.put, fresh, half)
                )
        finally:
            bench.read(self.world)
        return {}

    # What `data` answers

    def addresses(self, *, all_of_them: bool) -> dict[str, str]:
        of = self.bench.engines.of
        return {
            store: of(one).fresh_uri(one)
            for store, one in zip(moving.STORES, self.bench.databases, strict=True)
            if all_of_them or of(one).restores_rows
        }

    def real_fresh(self) -> dict[str, Any]:
        assert self.bench.store == "elsewhere" or not self.world.running
        self.bench.engines.make_fresh(copied=True)
        return self.addresses(all_of_them=True)

    def real_prepare(self, _backup: str) -> dict[str, Any]:
        self.bench.engines.make_fresh(copied=False)
        return {"addresses": self.addresses(all_of_them=False)}

    def real_restore(self, backup: str) -> None:
        for one in self.bench.databases:
            path = self.bench.folder / f"{one.name}.dump"
            if not path.exists():
                host, self.bench.host = self.bench.host, None
                self.bench.kits[one.name].dump((self.world.schemas[OLD], f"of {backup}"), path)
                self.bench.host = host
            self.bench.engines.of(one).restore(one, path)

    def real_switch(self) -> dict[str, Any]:
        assert not self.world.running
        return {"switched": self.bench.engines.switch()}

    def real_switch_back(self) -> dict[str, Any]:
        assert not self.world.running
        return {"switched": self.bench.engines.switch_back()}

    def real_drop_fresh(self) -> None:
        self.bench.engines.drop_fresh()

    def real_drop_old(self) -> None:
        self.bench.engines.drop_old()


class RealStage(Stage):
    """Where changes are made, with real databases; only what is done to these is tried.

    What a server does, it does wholly or not at all: a recovery is killed between two acts there.
    """

    moments = LATER

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *benches: Bench) -> None:
        super().__init__(monkeypatch)
        self.benches = {bench.store: bench for bench in benches}
        parts = {part for bench in benches for part in bench.engines.parts}
        self.later = LATER if parts == {"sqlite"} else LATER[1:]
        self.known: list[object] = []

    def place(self, world: World) -> World:
        for bench in self.benches.values():
            bench.place(world)
        return super().place(world)

    def host(self, world: World, fate: tuple[int, str] = NEVER, *, room: bool = True) -> FakeHost:
        return RealHost(world, fate, benches=self.benches, room=room)

    def is_tried(self, what: str) -> bool:
        return what.startswith(MARK)

    def is_known(self, left: object) -> bool:
        if left in self.known:
            return True
        self.known.append(left)
        return False
