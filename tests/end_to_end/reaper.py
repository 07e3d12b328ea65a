"""Clears up after the end-to-end tests, however they end.

Started by them in a session of its own with a pipe on its standard input. The pipe closes when the tests are
done, fail, or are killed; then each local AWS in the copy of the project goes with its images, and then the
copy.

    python reaper.py COPY
"""

import shutil
import subprocess
import sys
from pathlib import Path


def main() -> None:
    """Wait for the end of the tests, then clear up."""
    clone = Path(sys.argv[1])
    sys.stdin.buffer.read()
    names = [place.parent.name for place in (clone / ".sandbox").glob("*/daemon.log")]
    for words in (*([name] for name in names), *([name, "--purge"] for name in names[:1])):
        subprocess.run([sys.executable, "-m", "sandbox", "down", "--name", *words], cwd=clone, check=False)
    shutil.rmtree(clone, ignore_errors=True)


if __name__ == "__main__":
    main()
