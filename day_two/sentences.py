"""How a task ends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from invoke.exceptions import ThreadException

from provisioner.errors import FlowsteadError


@contextlib.contextmanager
def sentences() -> Iterator[None]:
    """Tell an error in a sentence, and end; quietly if the reader has gone."""
    try:
        with _first():
            yield
            sys.stdout.flush()
    except FlowsteadError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(0) from None
    except (BrokenPipeError, ThreadException) as error:
        threads = getattr(error, "exceptions", ())
        if not all(issubclass(one.type, BrokenPipeError) for one in threads):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


@contextlib.contextmanager
def _first() -> Iterator[None]:
    """Count what ended a task, not what its end has broken: connections in a tunnel, for one."""
    try:
        yield
    except ThreadException as error:
        if isinstance(error.__context__, FlowsteadError | KeyboardInterrupt):
            raise error.__context__ from None
        raise
