"""What the host can do: units, the gateway, programs as MLflow's user, databases. Managed by Ansible."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from flowstead_host.errors import ChangeError
from flowstead_host.files import administrator_password, write_json
from flowstead_host.owner import WithOwner
from flowstead_host.programs import PROGRAMS, PYTHON, Program, command
from flowstead_host.settings import HOME, NAME, RUNTIME, SPOOL, Settings, with_passfile
from flowstead_host.stores import Stores

# What a release that waits says of itself (flowstead_server/start.py).
LOADED = "imported"
LOOK_EACH_S = 0.2


class Host(WithOwner):
    """What the role's settings describe, and what can be done with it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.stores = Stores(settings)
        self.serving_file = Path(settings.config_dir) / "serving.json"
        # Programs that wait to be told what to do, by what they are for.
        self.waiting: dict[str, Program] = {}

    # What serves

    def serving(self) -> dict[str, Any]:
        """Return the version and port that serve, and what served before; an empty version when none does."""
        try:
            return {"before": [], **json.loads(self.serving_file.read_text())}
        except FileNotFoundError:
            return {"version": "", "port": 0, "before": []}

    def note_serving(self, serving: Mapping[str, Any]) -> None:
        """Write down what serves from now on."""
        write_json(self.serving_file, serving)

    def port(self, version: str) -> int:
        """Return the port that a release's own settings name."""
        text = (Path(self.settings.config_dir) / f"{version}.env").read_text()
        found = re.search(r"^MLFLOW_PORT=(\d+)$", text, re.MULTILINE)
        if not found:
            raise ChangeError(f"The settings of MLflow {version} name no MLFLOW_PORT: run site.yml")
        return int(found[1])

    def python(self, version: str) -> str:
        """Return a release's interpreter."""
        return f"{self.settings.home}/releases/{version}/bin/python"

    # Units

    def systemctl(self, *words: str, what: str) -> None:
        """Tell systemd something."""
        command("systemctl", *words, what=what)

    def start(self, version: str, *, afresh: bool = False) -> None:
        """Start a release; `afresh` also when it runs, unless it waits to be let go on."""
        waits = self.wait_file(version)
        word = "restart" if afresh and not waits.exists() else "start"
        waits.unlink(missing_ok=True)
        self.systemctl(word, f"{NAME}@{version}.service", what=f"MLflow {version} could not be started")

    def wait_file(self, version: str) -> Path:
        """Return the file that has a release wait, once it has loaded all that it needs."""
        return RUNTIME / f"wait-{version}"

    def start_to_wait(self, version: str) -> None:
        """Have a release load all that it needs and open nothing; `start` lets it go on."""
        self.wait_file(version).touch()
        unit = f"{NAME}@{version}.service"
        self.systemctl("restart", unit, what=f"MLflow {version} could not be started")
        limit_s = self.settings.start_timeout_s
        deadline = self.clock() + limit_s
        show = ("systemctl", "show", "--property=StatusText", "--value", unit)
        while not command(*show, what=f"Nothing is known of {unit}").startswith(LOADED):
            if self.clock() > deadline:
                raise ChangeError(f"MLflow {version} was not loaded within {limit_s} s\n{self.journal(unit)}")
            self.pause(LOOK_EACH_S)

    def stop(self, version: str) -> None:
        """Let a release finish its requests, and stop it."""
        self.wait_file(version).unlink(missing_ok=True)
        self.systemctl("stop", f"{NAME}@{version}.service", what=f"MLflow {version} could not be stopped")

    def at_boot(self, version: str, *, started: bool) -> None:
        """Have a release started at boot, or not."""
        word = "enable" if started else "disable"
        unit = f"{NAME}@{version}.service"
        self.systemctl(word, "--quiet", unit, what=f"MLflow {version}'s unit cannot be {word}d")

    def start_on_copies(self, version: str) -> None:
        """Start a release on the copies of the databases."""
        unit = f"{NAME}-rehearsal@{version}.service"
        self.systemctl("start", unit, what="The release could not be started on the copies")

    def stop_on_copies(self) -> None:
        """Stop whatever serves the copies."""
        self.systemctl("stop", f"{NAME}-rehearsal@*.service", what="The rehearsal could not be stopped")

    def ask(self, version: str, *, on_copies: bool = False) -> None:
        """Wait until a release answers, and ask it real questions; its journal tells why it does not."""
        settings = self.settings
        unit = f"{NAME}-rehearsal@{version}.service" if on_copies else f"{NAME}@{version}.service"
        port = settings.rehearsal_port if on_copies else self.port(version)
        words = (
            *(f"--unit={unit}", f"--port={port}", f"--version={version}"),
            *(f"--username={settings.admin}", f"--secrets={settings.secrets_file}"),
            f"--timeout-s={settings.start_timeout_s}",
        )
        try:
            what = f"MLflow {version} does not answer as it should"
            command(*PYTHON, PROGRAMS / "ask.py", *words, what=what)
        except ChangeError as failed:
            raise ChangeError(f"{failed}\n{self.journal(unit)}") from None

    def journal(self, unit: str) -> str:
        """Return what a unit said last, without secrets."""
        argv = (*PYTHON, PROGRAMS / "journal.py", unit, self.settings.secrets_file)
        said = command(*argv, what="Its journal cannot be read").rstrip()
        return f"The last lines of journalctl -u {unit}:\n{said}"

    # The gateway

    def has_gateway(self) -> bool:
        """Tell whether a gateway has been set up on this host."""
        return Path(self.settings.gateway.program).is_file()

    def gateway(self, *words: str) -> None:
        """Tell the gateway something, where there is one."""
        if self.has_gateway():
            command(self.settings.gateway.program, *words, what="The gateway did not do as told")

    # Programs as MLflow's user

    def user_options(self, passfile: str = "") -> dict[str, Any]:
        """Return what makes a program run as MLflow's user."""
        environment = {
            **os.environ,
            "HOME": str(HOME),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PGPASSFILE": passfile or self.settings.passfile,
        }
        identity = {"user": self.settings.user, "group": self.settings.group, "extra_groups": []}
        return {"env": environment, "cwd": "/", **identity}

    def begin_client(self, version: str) -> Program:
        """Begin the program that uses MLflow as a client does; it waits for its login."""
        gateway = self.settings.gateway
        return Program(
            *(self.python(version), "-B", PROGRAMS / "client.py", f"--gateway={gateway.name}"),
            *(f"--url={gateway.url}", f"--ca-file={gateway.ca_file}", f"--username={self.settings.admin}"),
            what=f"A client could not use MLflow {version} through the gateway",
            **self.user_options(),
        )

    def use_as_client(self, version: str, token: str) -> None:
        """Log a run with a real client, by the way that clients come, and read it back."""
        if not self.settings.gateway.name or not self.has_gateway():
            return
        password = administrator_password(self.settings.secrets_file)
        program = self.waiting.pop("client", None) or self.begin_client(version)
        program.finish(json.dumps({"password": password, "pass": token}), self.settings.start_timeout_s)

    def begin_migration(self, version: str) -> Program:
        """Begin a release's own migrations; they wait for the addresses of the databases."""
        argv = (self.python(version), "-B", PROGRAMS / "migrate.py")
        what = f"The migration to MLflow {version} failed"
        return Program(*argv, what=what, **self.user_options(self.stores.target.owner_passfile))

    def load_migration(self, version: str) -> None:
        """Begin a release's own migrations, and return when they are loaded."""
        self.waiting["migration"] = self.begin_migration(version)
        self.waiting["migration"].wait_until_ready(self.settings.start_timeout_s)

    def migrate(self, version: str, addresses: Mapping[str, str]) -> None:
        """Run a release's own migrations as the databases' owner, in the databases at these addresses."""
        program = self.waiting.pop("migration", None) or self.begin_migration(version)
        program.finish(json.dumps(addresses), self.settings.migration_timeout_s)

    def transfer(self, version: str, addresses: Mapping[str, Sequence[str]]) -> dict[str, Any]:
        """Copy rows as MLflow's user, who alone touches files of databases, and compare them.

        Args:
            version: the release whose libraries do it.
            addresses: by what MLflow has there, from where and to where.

        Returns:
            What was copied, by the same names (transfer.py).

        """
        program = self.waiting.pop("transfer", None) or self.begin_transfer(version)
        said = program.finish(json.dumps(addresses), self.settings.migration_timeout_s)
        # That it is ready may stand before it.
        return dict(json.loads(said.splitlines()[-1]))

    def logged(self, version: str) -> dict[str, int]:
        """Return of what users make how much there is in the databases that serve, by table."""
        uri = with_passfile(self.settings.databases[0].uri, self.settings.passfile)
        said = self.begin_transfer(version).finish(json.dumps({"logged": uri}))
        found: dict[str, int] = json.loads(said.splitlines()[-1])["logged"]
        return found

    def begin_transfer(self, version: str) -> Program:
        """Begin the program that copies rows; it waits for the addresses."""
        argv = (self.python(version), "-B", PROGRAMS / "transfer.py")
        return Program(*argv, what="The data could not be copied", **self.user_options())

    def get_ready(
        self,
        version: str,
        questions: Iterable[tuple[str, ...]],
        *,
        migrates: bool = False,
        moves: bool = False,
        starts: bool = False,
    ) -> None:
        """Begin what takes its time to load before clients are held off for it.

        Args:
            version: the release that is to serve.
            questions: what is going to be asked of `data`, by the release that serves.
            migrates: its migrations, too.
            moves: what copies rows, too.
            starts: the release itself, too.
        """
        present = self.serving()["version"]
        for words in questions:
            self.waiting[" ".join(words)] = self.begin_data(present, "--wait", *words, what="")
        if migrates:
            self.waiting["migration"] = self.begin_migration(version)
        if moves:
            self.waiting["transfer"] = self.begin_transfer(version)
        if self.settings.gateway.name and self.has_gateway():
            self.waiting["client"] = self.begin_client(version)
        if starts:
            self.start_to_wait(version)
        for program in self.waiting.values():
            program.wait_until_ready(self.settings.start_timeout_s)

    def dismiss(self) -> None:
        """End the programs that wait and are not needed."""
        # Its unit would write the password also when nobody waits for it any more.
        if "owner" in self.waiting:
            with contextlib.suppress(ChangeError), self.owner():
                pass
        while self.waiting:
            self.waiting.popitem()[1].kill()

    # The databases

    def begin_data(self, version: str, *words: str, what: str) -> Program:
        """Begin to do something with the databases, with a release's own libraries."""
        # As root: what is in the backups is nothing for the user that serves.
        SPOOL.mkdir(parents=True, exist_ok=True)
        shutil.chown(SPOOL, "root", "root")
        SPOOL.chmod(0o700)
        argv = (self.python(version), "-B", PROGRAMS / "data.py", *words)
        return Program(*argv, what=what, cwd="/")

    def data(self, version: str, *words: str, what: str) -> dict[str, Any]:
        """Copy, dump, restore or switch the databases; the answer is JSON."""
        program = self.waiting.pop(" ".join(words), None) or self.begin_data(version, *words, what=what)
        program.what = what
        answer: dict[str, Any] = json.loads(program.finish("go\n") or "{}")
        return answer

    def begin_keeping(self, version: str, backup: str) -> None:
        """Begin to prove a backup good and to put it into the bucket, while other things are done."""
        what = f"The backup {backup} could not be kept"
        self.waiting["backup"] = self.begin_data(version, "keep", backup, what=what)

    def end_keeping(self, version: str, backup: str) -> None:
        """Return when the backup is in the bucket, proved to be good."""
        if "backup" not in self.waiting:
            self.begin_keeping(version, backup)
        self.waiting.pop("backup").finish()

    def clear_spool(self) -> None:
        """Remove dumps from this host: they are in the bucket if they are complete."""
        shutil.rmtree(SPOOL, ignore_errors=True)

    # Time

    def clock(self) -> float:
        """Return seconds that only grow, even if the clock is set."""
        return time.monotonic()

    def now(self) -> float:
        """Return the seconds since 1970."""
        return time.time()

    def pause(self, seconds: float) -> None:
        """Wait before something is tried again."""
        time.sleep(seconds)
