"""Clears up after the end-to-end tests, however they end.

Started by them in a session of its own with a pipe on its standard input. The pipe closes when the tests are
done, fail, or are killed; then the local AWS in the copy of the project goes with its images, and then the
copy.

    python reaper.py COPY NAME
"""

import shutil
import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Wait for the end of the tests, then clear up."""
    clone, name = Path(sys.argv[1]), sys.argv[2]
    sys.stdin.buffer.read()
    if (clone / "sandbox").is_dir():
        down = [sys.executable, "-m", "sandbox", "down", "--name", name, "--purge"]
        subprocess.run(down, cwd=clone, check=False)
    shutil.rmtree(clone, ignore_errors=True)


if __name__ == "__main__":
    main()
