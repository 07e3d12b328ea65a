"""Write files whole or not at all, and only when they change."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from provisioner.errors import FlowsteadError


def write(path: Path, text: str, *, mode: int = 0o644) -> bool:
    """Write a file so that a reader sees the old content or the new, never a part.

    Args:
        path: the file; its directory is made when missing.
        text: the content.
        mode: permissions of the file, set before it has its name.

    Returns:
        True when something changed.

    Raises:
        FlowsteadError: the file cannot be written.

    """
    try:
        with contextlib.suppress(FileNotFoundError, UnicodeDecodeError):
            same = path.read_text(encoding="utf-8") == text
            if same and path.stat().st_mode & 0o777 == mode:
                return False
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(mode)
            Path(temporary).replace(path)
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                # Its name is on the disk too: a private key must outlive a loss of power.
                os.fsync(directory)
            finally:
                os.close(directory)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise FlowsteadError(
            f"{path} cannot be written: {error.strerror}.",
            next_step="Check the directory's owner and free space.",
        ) from error
    return True


def remove(path: Path) -> bool:
    """Remove a file that may be gone already.

    Args:
        path: the file.

    Returns:
        True when it was there.

    """
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise FlowsteadError(f"{path} cannot be removed: {error.strerror}.") from error
    return True
