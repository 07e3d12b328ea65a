"""``python -m flowstead_server`` serves; ``python -m flowstead_server check`` says whether it could."""

from __future__ import annotations

import sys

from flowstead_server.around_mlflow import AnotherMlflowError, check, prepare, taken


def main(arguments: list[str]) -> int:
    """Serve, or check.

    Args:
        arguments: none, or ``check``.

    Returns:
        The exit code: 0, or 1 with a sentence where this MLflow is not known.

    """
    try:
        if arguments == ["check"]:
            check()
            return 0
        prepare()
    except AnotherMlflowError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    taken("mlflow.cli", "cli")(["server", "--app-name", "flowstead"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
