"""What `make test` says last: a CI shows the end of it, and who mends it has nothing else."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "scripts/timing.py"
MOLECULE = """
  │ TASK [This one is well]
  │   ****************
  │ ok: [i-1 -> localhost]
  │
  │ TASK [All get in]
  │   ****************
  \x1b[2m│\x1b[0m \x1b[31mfatal: [i-1]: FAILED! =>\x1b[0m
  │     msg: 59 of 60
  │
  │ TASK [This one may fail]
  │ fatal: [i-1]: FAILED! => {"msg": "expected"}
  │ ...ignoring
  │
  │ PLAY RECAP
"""
SHOWN = "TASK [All get in]\n  ****************\nfatal: [i-1]: FAILED! =>\n    msg: 59 of 60\n"
PYTEST = "\n".join(
    ("a.py::test_b FAILED", *["."] * 100, "E   assert 1 == 2", "FAILED a.py::test_b - assert", "=")
)


@pytest.fixture
def timing(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("timing", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "NOTES", tmp_path)
    module.begin()
    return module


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        (
            MOLECULE,
            f"scenario failed:\n{SHOWN}",
        ),
        (PYTEST, "scenario failed:\nE   assert 1 == 2\nFAILED a.py::test_b - assert\n"),
        ("no such file", "scenario failed:\nno such file\n"),
    ],
)
def test_what_failed_says_why_at_the_very_end(timing, capfdbinary, said, complaint):
    words = [sys.executable, "-c", f"print({said!r}); raise SystemExit(3)"]
    assert timing.part("scenario", words) == 3
    assert timing.part("other", [sys.executable, "-c", "print('fatal: no')"]) == 0
    capfdbinary.readouterr()
    timing.report()
    assert capfdbinary.readouterr().out.decode().endswith(complaint)
