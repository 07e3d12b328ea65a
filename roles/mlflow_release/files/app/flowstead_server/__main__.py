"""``python -m flowstead_server`` serves; ``python -m flowstead_server check`` says whether it could."""

from __future__ import annotations

import sys

from flowstead_server.around_mlflow import AnotherMlflowError, AnotherSchemaError, check
from flowstead_server.start import serve


def main(arguments: list[str]) -> int:
    """Serve, or check.

    Args:
        arguments: none, or ``check``.

    Returns:
        The exit code: 0, or 1 with a sentence where this MLflow is not known, or not for these databases.

    """
    try:
        if arguments == ["check"]:
            check()
            return 0
        serve()
    except (AnotherMlflowError, AnotherSchemaError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
