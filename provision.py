#!/usr/bin/env python3
"""Make on AWS what deployment.yml says, and write the inventory that Ansible reads: see --help."""

import sys


def main() -> int:
    """Run the command line; say in one sentence when Flowstead's Python packages are missing."""
    try:
        from provisioner.cli import main as command_line  # noqa: PLC0415 - to say what is missing
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("provisioner"):
            raise
        text = (
            f"The Python package {error.name} is missing here. Run `make tools`, then `. .venv/bin/activate`."
        )
        print(text, file=sys.stderr)
        return 1
    return command_line()


if __name__ == "__main__":
    sys.exit(main())
