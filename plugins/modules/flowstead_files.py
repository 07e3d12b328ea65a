#!/usr/bin/python
"""Module `flowstead_files`: the part of the task of that name which runs on the host."""

from __future__ import annotations

import base64
import contextlib
import grp
import hashlib
import os
import pwd
import shlex
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: flowstead_files
short_description: Bring directories and files to their wanted state in one round trip
description:
  - Renders templates and reads files on the controller as M(ansible.builtin.template) and
    M(ansible.builtin.copy) do, and sends all of them to the host together. What is right is left alone.
  - Every changed file that has a validator is checked before any is replaced. When a check fails, nothing has
    been changed.
  - A file is replaced as a whole, with its mode and owner, so nobody ever reads half of it, or reads it too
    early.
options:
  directories:
    description: Directories that must exist, in this order. Missing parents are made too.
    type: list
    elements: path
    default: []
  directory_mode:
    description: Mode of these directories, in quotes.
    type: str
    default: "0755"
  files:
    description:
      - Files that must exist. Each has one of O(files[].template), O(files[].source) and O(files[].content).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where the file is on the host.
        type: path
        required: true
      template:
        description: A template on the controller, looked for as M(ansible.builtin.template) does.
        type: str
      variables:
        description: Further variables for the template.
        type: dict
        default: {}
      source:
        description:
          - A file on the controller, looked for as M(ansible.builtin.copy) does; decrypted if ansible-vault
            encrypted it.
        type: str
      content:
        description: The text itself.
        type: str
      mode:
        description: Mode of the file, in quotes.
        type: str
        default: "0644"
      validate:
        description:
          - Command that checks a changed file before it is put in place; C(%s) stands for its path. Empty
            means none.
          - Check mode runs none, for on a new host the validator may not be installed yet.
        type: str
        default: ""
  trees:
    description:
      - Directories that must exist with all the files of a directory on the controller, each readable by all.
        What Python has compiled there stays there.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where the directory is on the host.
        type: path
        required: true
      source:
        description: The directory on the controller, looked for as M(ansible.builtin.copy) does.
        type: str
        required: true
  owner:
    description: Owner of the directories and files.
    type: str
    default: root
  group:
    description: Group of the directories and files.
    type: str
    default: root
attributes:
  check_mode:
    support: full
    description: Also on a host where the directories, the owner or the group are only going to be made.
  diff_mode:
    support: full
    description: One diff for each file.
author: The Flowstead authors
"""

EXAMPLES = r"""
- name: The configuration files are in place
  flowstead_files:
    directories: [/etc/mlflow]
    files:
      - {path: /etc/mlflow/server.env, template: server.env.j2}
      - {path: /usr/local/sbin/backup, source: backup.py, mode: "0755"}
      - {path: /etc/ssh/sshd_config.d/01-ours.conf, template: sshd.conf.j2, validate: /usr/sbin/sshd -t -f %s}
  register: written
  notify: Reload the SSH server

# The handler, if that task has others: when: "'/etc/ssh/sshd_config.d/01-ours.conf' in written.changed_files"
"""

RETURN = r"""
changed_files:
  description: Paths of the files whose content, mode, owner or group were not as wanted.
  type: list
  returned: success
changed_directories:
  description: Paths of the directories that were missing, or whose mode, owner or group were not as wanted.
  type: list
  returned: success
"""

# Of a validator's output the end is shown: there the reason stands
SHOWN_CHARACTERS = 1500


class FilesError(Exception):
    """What is wrong, as a sentence; nothing has been changed."""


@dataclass(frozen=True)
class Attributes:
    """Permissions of a file or directory.

    Args:
        mode: the permission bits.
        owner: a user's name, or the number of one that has no name.
        group: a group's name, or the number of one that has no name.

    """

    mode: int
    owner: str
    group: str

    def __str__(self) -> str:
        """Return them as `ls` and a person would name them."""
        return f"mode {self.mode:04o}, owner {self.owner}, group {self.group}"


@dataclass(frozen=True)
class WantedFile:
    """A file as it should be.

    Args:
        path: where it should be.
        content: all of it.
        attributes: its permissions.
        validate: command with `%s` for the path of a draft, or an empty text.

    """

    path: Path
    content: bytes
    attributes: Attributes
    validate: str


def attributes_of(path: Path) -> Attributes:
    """Return the permissions of what is at a path; a link is followed.

    Raises:
        FileNotFoundError: nothing is there.

    """
    found = path.stat()
    owner, group = str(found.st_uid), str(found.st_gid)
    with contextlib.suppress(KeyError):
        owner = pwd.getpwuid(found.st_uid).pw_name
    with contextlib.suppress(KeyError):
        group = grp.getgrgid(found.st_gid).gr_name
    return Attributes(stat.S_IMODE(found.st_mode), owner, group)


def content_of(path: Path) -> bytes | None:
    """Return a file's content, None where a file is missing; a link counts as missing and is replaced.

    Raises:
        FilesError: something else is there, such as a directory.

    """
    try:
        kind = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(kind):
        return None
    if not stat.S_ISREG(kind):
        raise FilesError(f"{path} is not a file: move it away, then run this again.")
    return path.read_bytes()


def set_attributes(path: Path, wanted: Attributes) -> None:
    """Give a file or directory its permissions."""
    # In this order: a change of the owner may take bits of the mode away
    shutil.chown(path, wanted.owner, wanted.group)
    path.chmod(wanted.mode)


def shown(content: bytes | None, attributes: Attributes | None, *, with_attributes: bool) -> str:
    """Return one side of a diff, with the permissions in front of the text if these differ too."""
    if content is None or attributes is None:
        return ""
    text = f"({attributes})\n" if with_attributes else ""
    try:
        return text + content.decode()
    except UnicodeDecodeError:
        return f"{text}(not text: SHA-256 {hashlib.sha256(content).hexdigest()})\n"


class Host:
    """What brings the directories and files of one task to their wanted state.

    Args:
        module: how a command is run and a file labelled; says whether this is check mode.

    """

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.diffs: list[dict[str, str]] = []

    def converge(
        self, directories: list[Path], directory_attributes: Attributes, files: list[WantedFile]
    ) -> dict[str, Any]:
        """Change what is not as wanted, or in check mode say what would be.

        Args:
            directories: directories that must exist, each before those in it.
            directory_attributes: their permissions.
            files: the files.

        Returns:
            The result of the task.

        Raises:
            FilesError: something stands in the way, or a validator refused a file. Nothing has been changed.

        """
        wrong_directories = [path for path in directories if self.differs(path, directory_attributes)]
        wrong_files = [file for file in files if self.file_differs(file)]
        if not self.module.check_mode:
            # All that can stand in the way is found out before the first change
            self.check_owners({directory_attributes, *(file.attributes for file in wrong_files)})
            for file in wrong_files:
                self.check_directory(file.path.parent, directories)
                self.validate(file)
            for path in wrong_directories:
                self.make_directory(path, directory_attributes)
            for file in wrong_files:
                self.put(file)
        return {
            "changed": bool(wrong_directories or wrong_files),
            "changed_directories": [str(path) for path in wrong_directories],
            "changed_files": [str(file.path) for file in wrong_files],
            "diff": self.diffs,
        }

    def differs(self, path: Path, wanted: Attributes) -> bool:
        """Tell whether a directory is missing or has other permissions, and note the difference.

        Raises:
            FilesError: something else is there.

        """
        try:
            found = attributes_of(path)
        except (FileNotFoundError, NotADirectoryError):
            before = "(absent)"
        else:
            if not path.is_dir():
                raise FilesError(f"{path} is not a directory: move it away, then run this again.")
            if found == wanted:
                return False
            before = f"({found})"
        self.note(path, f"{before}\n", f"({wanted})\n")
        return True

    def file_differs(self, file: WantedFile) -> bool:
        """Tell whether a file is missing or otherwise than wanted, and note the difference.

        Raises:
            FilesError: something else is there.

        """
        content = content_of(file.path)
        attributes = None if content is None else attributes_of(file.path)
        if content == file.content and attributes == file.attributes:
            return False
        both = attributes is not None and attributes != file.attributes
        self.note(
            file.path,
            shown(content, attributes, with_attributes=both),
            shown(file.content, file.attributes, with_attributes=both),
        )
        return True

    def note(self, path: Path, before: str, after: str) -> None:
        """Keep a difference for --diff."""
        self.diffs.append(
            {"before_header": str(path), "after_header": str(path), "before": before, "after": after}
        )

    @staticmethod
    def check_owners(wanted: set[Attributes]) -> None:
        """See that the host has the users and groups that are to own something.

        Raises:
            FilesError: it has not.

        """
        for attributes in wanted:
            try:
                pwd.getpwnam(attributes.owner)
                grp.getgrnam(attributes.group)
            except KeyError as error:
                raise FilesError(f"{error.args[0]}: make it first. Nothing has been changed.") from error

    @staticmethod
    def check_directory(path: Path, directories: list[Path]) -> None:
        """See that a file's directory is there, or will be.

        Raises:
            FilesError: it is not.

        """
        made = {one for directory in directories for one in (directory, *directory.parents)}
        if not path.is_dir() and path not in made:
            raise FilesError(
                f"There is no directory {path}: name it in `directories`. Nothing has been changed."
            )

    def validate(self, file: WantedFile) -> None:
        """Let the file's validator check a draft of it.

        Raises:
            FilesError: it is not content; its last words are the reason.

        """
        if not file.validate:
            return
        with tempfile.NamedTemporaryFile(dir=self.module.tmpdir) as draft:
            draft.write(file.content)
            draft.flush()
            status, stdout, stderr = self.module.run_command(
                file.validate.replace("%s", shlex.quote(draft.name))
            )
        if status:
            words = "\n".join(filter(None, (stderr.strip(), stdout.strip())))[-SHOWN_CHARACTERS:]
            raise FilesError(
                f"{file.path} would not be valid, so nothing has been changed. {file.validate} ended with "
                f"status {status}: {words}"
            )

    def make_directory(self, path: Path, wanted: Attributes) -> None:
        """Make a directory and its missing parents, or only set its permissions."""
        missing = [one for one in (path, *path.parents) if not one.exists()]
        for one in reversed(missing):
            one.mkdir(mode=0o700)
            set_attributes(one, wanted)
        if not missing:
            set_attributes(path, wanted)

    def put(self, file: WantedFile) -> None:
        """Replace a file by a complete draft next to it, permissions included."""
        # Programs that read all of a directory leave out what begins with a dot
        number, name = tempfile.mkstemp(dir=file.path.parent, prefix=f".{file.path.name}.")
        draft = Path(name)
        try:
            with os.fdopen(number, "wb") as stream:
                stream.write(file.content)
                stream.flush()
                os.fsync(stream.fileno())
            set_attributes(draft, file.attributes)
            if self.module.selinux_enabled():
                label = self.module.selinux_default_context(str(file.path))
                self.module.set_context_if_different(name, label, changed=False)
            draft.replace(file.path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise


def main() -> None:
    """Run the task."""
    file_options: dict[str, dict[str, Any]] = {
        "path": {"type": "path", "required": True},
        # In base64, from the action plugin: it has rendered the template or read the file
        "content": {"type": "str", "required": True, "no_log": True},
        "mode": {"type": "str", "default": "0644"},
        "validate": {"type": "str", "default": ""},
    }
    module = AnsibleModule(
        argument_spec={
            "directories": {"type": "list", "elements": "path", "default": []},
            "directory_mode": {"type": "str", "default": "0755"},
            "files": {"type": "list", "elements": "dict", "options": file_options, "default": []},
            "owner": {"type": "str", "default": "root"},
            "group": {"type": "str", "default": "root"},
        },
        supports_check_mode=True,
    )
    given = module.params

    def attributes(mode: str) -> Attributes:
        return Attributes(int(mode, 8), given["owner"], given["group"])

    try:
        result = Host(module).converge(
            [Path(path) for path in given["directories"]],
            attributes(given["directory_mode"]),
            [
                WantedFile(
                    path=Path(file["path"]),
                    content=base64.b64decode(file["content"]),
                    attributes=attributes(file["mode"]),
                    validate=file["validate"],
                )
                for file in given["files"]
            ],
        )
    except FilesError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"The files are not all in place: {error}. Run this again when that is right.")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
