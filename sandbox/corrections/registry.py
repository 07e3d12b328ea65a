"""Every correction that is in force. What is not listed here does nothing."""

from __future__ import annotations

from sandbox.corrections import (
    buckets,
    cluster_checks,
    cluster_member_checks,
    clusters,
    cpu_credits,
    database_checks,
    database_offers,
    database_parameters,
    database_storage,
    databases,
    images,
    instances,
    key_pairs,
    large_objects,
    lifecycle_policies,
    metadata_options,
    network,
    permissions,
    profiles,
    repositories,
    secrets,
    sessions,
    slowness,
    tags,
    unsupported,
    volumes,
)

CORRECTIONS = tuple(
    module.correction
    for module in (
        unsupported,
        buckets,
        cluster_checks,
        cluster_member_checks,
        cpu_credits,
        database_checks,
        database_offers,
        database_parameters,
        database_storage,
        databases,
        clusters,
        images,
        instances,
        key_pairs,
        large_objects,
        lifecycle_policies,
        metadata_options,
        network,
        permissions,
        profiles,
        repositories,
        secrets,
        sessions,
        slowness,
        tags,
        volumes,
    )
)
