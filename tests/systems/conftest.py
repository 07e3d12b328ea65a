"""Whole systems, each from its file in examples/deployments to nothing left."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_THERE = Path(__file__).parents[1] / "end_to_end"
sys.path.insert(0, str(_THERE))
_spec = importlib.util.spec_from_file_location("end_to_end_conftest", _THERE / "conftest.py")
assert _spec
assert _spec.loader
_of_end_to_end = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _of_end_to_end
_spec.loader.exec_module(_of_end_to_end)

clone, sandbox = _of_end_to_end.clone, _of_end_to_end.sandbox
