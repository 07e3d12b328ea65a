"""The settings that depend on where the data are, of two stores between which they move. Managed by Ansible.

Ansible renders those of the store to come into a folder of the server's configuration, under the names that
they are to have. A move puts these and those that serve aside first: whatever is rendered meanwhile has no
part in it, and the data of either store can be used at any moment of it, also after a crash.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from flowstead_host.errors import RefusedError
from flowstead_host.files import keep, write
from flowstead_host.settings import STATE, STORE_FILE, Settings, read_settings

# Of the folder that Ansible renders into, in the directory of the server's configuration.
STAGED = "moving"
ASIDE = STATE / "move"
OLD, NEW = ASIDE / "old", ASIDE / "new"
OLD_STORE, NEW_STORE = OLD / STORE_FILE, NEW / STORE_FILE


class Stores:
    """The settings of the store that serves, and of the one that data are being moved to."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def config_dir(self) -> Path:
        """The directory of the server's configuration."""
        return Path(self.settings.config_dir)

    @property
    def target(self) -> Settings:
        """What is told of the store that data are being moved to; of the one that serves if none are."""
        return read_settings(store=NEW_STORE) if NEW_STORE.exists() else self.settings

    def put_aside(self) -> None:
        """Have the settings of both stores, all or none, where nothing changes them."""
        staged = self.config_dir / STAGED
        if not (staged / STORE_FILE).is_file():
            raise RefusedError(
                f"There are no settings of another store in {staged}. To move the data, run: "
                "python provision.py move"
            )
        self.forget()
        draft = ASIDE.with_name(f"{ASIDE.name}.new")
        shutil.rmtree(draft, ignore_errors=True)
        for file in sorted(staged.iterdir()):
            write(draft / NEW.name / file.name, file.read_bytes())
            write(draft / OLD.name / file.name, (self.config_dir / file.name).read_bytes())
        keep(draft)
        draft.replace(ASIDE)
        keep(ASIDE.parent)

    def use_new(self) -> None:
        """Have the server's settings be those of the new store; each file is the one or the other, whole."""
        self.put_in_place(NEW)

    def use_old(self) -> None:
        """Have them be those of the old one again."""
        self.put_in_place(OLD)

    def put_in_place(self, folder: Path) -> None:
        """Have what was put aside be the server's settings."""
        for file in sorted(folder.iterdir()):
            write(self.config_dir / file.name, file.read_bytes())

    def forget(self) -> None:
        """Remove what was put aside."""
        shutil.rmtree(ASIDE, ignore_errors=True)
