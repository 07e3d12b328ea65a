"""Where the artifacts are of the runs that something lists: its runs name the place, so it stays."""

from __future__ import annotations

from collections.abc import Mapping

from provisioner.resources.setting import Setting

ARTIFACTS_TAG = "flowstead:artifacts"
"""Where the runs in what carries it say that their artifacts are."""


def place_of_artifacts(tags: Mapping[str, str], wanted: str) -> Setting:
    """Declare that the place stays what it is.

    Args:
        tags: of what lists the runs.
        wanted: URI of the folder.

    """
    note = "its runs name that place: set artifacts.bucket and artifacts.prefix back"
    return Setting("place of the artifacts", tags.get(ARTIFACTS_TAG, wanted), wanted, note=note)
