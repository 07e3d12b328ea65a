"""The policies of Data Lifecycle Manager, and what they do in a night."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from sandbox import account
from sandbox.mapping.volumes import Volumes

log = logging.getLogger(__name__)

POLICY_TAG, SCHEDULE_TAG = "aws:dlm:lifecycle-policy-id", "aws:dlm:lifecycle-schedule-name"
"""Source: "Automate backups with Amazon Data Lifecycle Manager: how it works", Amazon EBS User Guide."""


class LifecyclePolicies:
    """The policies of an account; a night passes when somebody says so.

    Args:
        volumes: what they take snapshots of.

    Attributes:
        by_region: each as GetLifecyclePolicy tells it, by id, by region.
    """

    def __init__(self, volumes: Volumes) -> None:
        self.by_region: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        self._volumes = volumes
        self._nights = 0
        self._taken: dict[str, int] = {}  # snapshot -> in which night

    def night(self) -> dict[str, list[str]]:
        """Let a night pass: every policy takes its snapshots, and removes those that are old.

        Returns:
            The ids of the snapshots that were begun and removed.
        """
        with account.lock:
            self._nights += 1
            enabled = [
                (region, policy)
                for region, policies in self.by_region.items()
                for policy in policies.values()
                if policy["State"] == "ENABLED"
            ]
            begun = [taken for region, policy in enabled for taken in self._take(region, policy)]
            removed = [gone for region, policy in enabled for gone in self._expire(region, policy)]
        for snapshot_id in removed:
            self._volumes.drop_snapshot(snapshot_id)
        log.info("a night: %s begun, %s removed", begun, removed)
        return {"begun": begun, "removed": removed}

    def _take(self, region: str, policy: dict[str, Any]) -> Iterator[str]:
        backend, (schedule,) = account.ec2(region), policy["PolicyDetails"]["Schedules"]
        targets = {(tag["Key"], tag["Value"]) for tag in policy["PolicyDetails"]["TargetTags"]}
        for volume in list(backend.volumes.values()):
            tags = {tag["key"]: tag["value"] for tag in volume.get_tags()}
            if not targets & set(tags.items()):
                continue
            what = f"Created for policy: {policy['PolicyId']} schedule: {schedule['Name']}"
            snapshot = backend.create_snapshot(volume.id, what)
            added = {tag["Key"]: tag["Value"] for tag in schedule.get("TagsToAdd", ())}
            copied = tags if schedule.get("CopyTags") else {}
            marks = {POLICY_TAG: policy["PolicyId"], SCHEDULE_TAG: schedule["Name"], "dlm:managed": "true"}
            snapshot.add_tags({**copied, **added, **marks})
            self._taken[snapshot.id] = self._nights
            self._volumes.snapshot(volume, snapshot)
            yield snapshot.id

    def _expire(self, region: str, policy: dict[str, Any]) -> Iterator[str]:
        """Remove what is older than the days that it is kept; the last one stays."""
        snapshots = account.ec2(region).snapshots
        days = policy["PolicyDetails"]["Schedules"][0]["RetainRule"]["Interval"]
        own = [
            one
            for one in snapshots.values()
            if any(tag["key"] == POLICY_TAG and tag["value"] == policy["PolicyId"] for tag in one.get_tags())
        ]
        for snapshot in own[:-1]:
            if self._taken[snapshot.id] <= self._nights - days:
                del snapshots[snapshot.id]
                yield snapshot.id
