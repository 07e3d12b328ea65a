"""Spare Ansible's workers what each of them would do anew."""

from __future__ import annotations

import gc

from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import filter_loader, test_loader

DOCUMENTATION = """
name: flowstead_collector
type: aggregate
short_description: Spares Ansible's workers the garbage collector, and the loading of filters
description:
  - Ansible forks a worker for each task. Python's cyclic garbage collector walks all that Ansible has loaded,
    again in each worker, and every page that it touches there is copied.
  - Python's documentation of gc.freeze describes the remedy, which this plugin is; it prints nothing. A run
    with nothing to do takes a quarter less of the processor.
  - The filters and tests of templates, which each worker would load for itself, are loaded once before.
options: {}
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """Stops the collector and freezes what is loaded: a run ends before it has much to collect.

    Source: https://docs.python.org/3/library/gc.html#gc.freeze
    """

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "flowstead_collector"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        """Stop the collector."""
        super().__init__()
        gc.disable()

    def v2_playbook_on_play_start(self, play: object) -> None:
        """Load what workers need, and freeze what is there."""
        del play
        for loader in (filter_loader, test_loader):
            loader.get("ansible.builtin.version")
        gc.freeze()
