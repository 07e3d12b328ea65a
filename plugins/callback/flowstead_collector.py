"""Spare Ansible's workers the garbage collector."""

from __future__ import annotations

import gc

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: flowstead_collector
type: aggregate
short_description: Spares Ansible's workers the garbage collector
description:
  - Ansible forks a worker for each task. Python's cyclic garbage collector walks all that Ansible has loaded,
    again in each worker, and every page that it touches there is copied.
  - Python's documentation of gc.freeze describes the remedy, which this plugin is; it prints nothing. A run
    with nothing to do takes a quarter less of the processor.
options: {}
"""


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """Collects what loading left once a play, and freezes the rest: a run ends before it has much to collect.

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
        """Collect, and freeze what is left."""
        del play
        gc.collect()
        gc.freeze()
