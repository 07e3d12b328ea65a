#!/usr/bin/python
"""Module `flowstead_download`: a file that is fetched once, and again when somebody has changed it."""

from __future__ import annotations

import contextlib
import grp
import hashlib
import os
import pwd
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import fetch_url

DOCUMENTATION = r"""
module: flowstead_download
short_description: Fetch a file once, and again when it is not as it was fetched
description:
  - M(ansible.builtin.get_url) either fetches each time or does not notice that somebody has changed the file.
    This module remembers the file's checksum in a file next to it, in the form that C(sha1sum --check) reads.
  - The file belongs to root, and everybody may read it. Missing directories are made.
options:
  url:
    description: Where it comes from.
    type: str
    required: true
  path:
    description: Where it is on the host. The checksum stands in a file of this name and C(.sha1).
    type: path
    required: true
  refresh:
    description: Whether to fetch it although it is as it was fetched.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Fetches nothing.
author:
  - The Flowstead authors
"""

EXAMPLES = r"""
- name: The database's CA certificates are there
  flowstead_download:
    url: https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem
    path: /etc/flowstead/rds-ca.pem
"""

RETURN = r"""#"""

MODE = 0o644
TRIES = 3


class DownloadError(Exception):
    """What is wrong, as a sentence."""


def checksum_line(content: bytes, path: Path) -> str:
    """Return what the file with the checksum holds."""
    return f"{hashlib.sha1(content, usedforsecurity=False).hexdigest()}  {path}\n"


def owner_of(path: Path) -> tuple[str, str, int]:
    """Return owner, group and mode of a file."""
    found = path.stat()
    owner, group = str(found.st_uid), str(found.st_gid)
    with contextlib.suppress(KeyError):
        owner, group = pwd.getpwuid(found.st_uid).pw_name, grp.getgrgid(found.st_gid).gr_name
    return owner, group, stat.S_IMODE(found.st_mode)


def is_as_fetched(path: Path, checksums: Path, owner: str = "root") -> bool:
    """Tell whether a file is as it was fetched, its owner and its mode too."""
    try:
        return (
            checksums.read_text() == checksum_line(path.read_bytes(), path)
            and owner_of(path) == (owner, owner, MODE)
            and owner_of(checksums) == (owner, owner, MODE)
        )
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return False


def put(path: Path, content: bytes) -> None:
    """Replace a file as a whole."""
    number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "wb") as stream:
            stream.write(content)
        Path(name).chmod(MODE)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def have(path: Path, fetch: Callable[[], bytes], *, refresh: bool, check: bool, owner: str = "root") -> bool:
    """Have a file as it is fetched.

    Args:
        path: where it belongs.
        fetch: what fetches it.
        refresh: fetch it although it is as it was fetched.
        check: change nothing.
        owner: whose it is.

    Returns:
        Whether the file or what is remembered of it has changed, or in check mode would or might.

    Raises:
        DownloadError: it could not be fetched. Nothing has been changed.

    """
    checksums = path.with_name(f"{path.name}.sha1")
    current = is_as_fetched(path, checksums, owner)
    if current and not refresh:
        return False
    if check:
        return not current
    content = fetch()
    if current and path.read_bytes() == content:
        return False
    for missing in [one for one in reversed(path.parents) if not one.exists()]:
        missing.mkdir()
        missing.chmod(0o755)
    # In this order: a file without the checksum that is its own is fetched again
    put(path, content)
    put(checksums, checksum_line(content, path).encode())
    return True


def main() -> None:
    """Run the task."""
    module = AnsibleModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "path": {"type": "path", "required": True},
            "refresh": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    given = module.params

    def fetch() -> bytes:
        why = ""
        for _ in range(TRIES):
            answer, told = fetch_url(module, given["url"], timeout=30)
            if told["status"] == 200:  # noqa: PLR2004 - OK
                return bytes(answer.read())
            why = str(told["msg"])
        raise DownloadError(
            f"{given['url']} could not be fetched: {why}. "
            "Make sure that the host reaches it, then run this again."
        )

    try:
        changed = have(Path(given["path"]), fetch, refresh=given["refresh"], check=module.check_mode)
    except DownloadError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
