"""RDS storage: what can be asked for, and what a growth does."""

from __future__ import annotations

from typing import Any

from moto.rds.models import DBInstance

from sandbox import account
from sandbox.api.call import Call
from sandbox.api.correction import Correction, substitute
from sandbox.api.refusal import Refusal
from sandbox.mapping.infrastructure import Infrastructure
from sandbox.ways import ways

correction = Correction()

USABLE = frozenset({"available", "storage-optimization"})
"""The states of an instance that runs: one that optimizes its storage is in use like any other.

Source: "RDS stuck in storage optimization", AWS's knowledge center
"""
_LEAST_GIB = 20
_LEAST_GROWTH = 1.1
"""Source: "Scaling up DB instance storage", RDS User Guide.

ModifyDBInstance in RDS's API reference says that less is rounded up instead; what people report is a refusal:
https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/1312
"""
_STRIPED_GIB = 400
"""From here on gp3 has IOPS that can be chosen, with PostgreSQL. Source: "gp3 storage", RDS User Guide."""
_PERFORMANCE = {False: (3_000, 125), True: (12_000, 500)}
"""IOPS and MiB/s of gp3 below and from `_STRIPED_GIB` on: the least, and RDS's choice. Source: as above."""
_MOST_PERFORMANCE = (64_000, 4_000)
"""Source: as above."""
_STORAGE = {
    "AllocatedStorage": "allocated_storage",
    "StorageType": "storage_type",
    "Iops": "iops",
    "StorageThroughput": "storage_throughput",
}


@correction.patch
def _patch(_: Infrastructure) -> None:
    """Let an available instance be seen to optimize its storage for as long as it does."""

    def status(self: Any) -> str:
        shown = str(self.__dict__.get("_status", "available"))
        busy = shown == "available" and ways.lags("storage-optimization", _key(self))
        return "storage-optimization" if busy else shown

    def set_status(self: Any, value: str) -> None:
        self.__dict__["_status"] = value

    substitute(DBInstance, "status", property(status, set_status))


def _key(database: Any) -> str:
    return str(getattr(database, "dbi_resource_id", ""))


def _database(call: Call) -> Any:
    """Return the database that a call names, or None: none, or a member, whose storage is its cluster's."""
    database = account.rds(call.region).databases.get(str(call.params.get("DBInstanceIdentifier")))
    return database if database is not None and not database.db_cluster_identifier else None


def _impossible(message: str) -> Refusal:
    return Refusal("InvalidParameterCombination", message)


def _check_limit(limit: Any, size: int) -> None:
    """Source: "Managing capacity automatically", RDS User Guide, and what people report.

    https://github.com/ministryofjustice/cloud-platform-environments/pull/7483 and /24422 there
    """
    if limit is None:
        return
    if int(limit) < size:
        raise _impossible("Max storage size must be greater than storage size")
    if size < int(limit) < size * _LEAST_GROWTH:
        raise _impossible("The maximum allocated storage must be increased by at least 10 percent.")


def _check_performance(params: dict[str, Any], engine: str, storage: str, size: int) -> None:
    if storage != "gp3":
        return
    names = ("Iops", "StorageThroughput")
    for name, least, most in zip(names, _PERFORMANCE[True], _MOST_PERFORMANCE, strict=True):
        if params.get(name) is None:
            continue
        if size < _STRIPED_GIB:
            raise _impossible(
                f"You can't specify IOPS or storage throughput for engine {engine} and a storage size less "
                f"than {_STRIPED_GIB}."
            )
        if not least <= int(params[name]) <= most:
            raise _impossible(f"{name} must be between {least} and {most} for a storage size of {size}.")


@correction.refuses("rds", "CreateDBInstance")
def _check_first_size(call: Call) -> None:
    params = call.params
    if params.get("DBClusterIdentifier"):
        return
    size, storage = int(params.get("AllocatedStorage") or 0), str(params.get("StorageType") or "gp2")
    engine = str(params.get("Engine"))
    if size < _LEAST_GIB:
        raise Refusal(
            "InvalidParameterValue",
            f"Invalid storage size for engine name {engine} and storage type {storage}: {size}",
        )
    if params.get("MaxAllocatedStorage") is not None and int(params["MaxAllocatedStorage"]) == size:
        raise _impossible("Max storage size must be greater than storage size")
    _check_limit(params.get("MaxAllocatedStorage"), size)
    _check_performance(params, engine, storage, size)


@correction.refuses("rds", "ModifyDBInstance")
def _check_change(call: Call) -> None:
    params, database = call.params, _database(call)
    if database is None:
        return
    size = int(params.get("AllocatedStorage") or database.allocated_storage)
    storage = str(params.get("StorageType") or database.storage_type)
    _check_limit(params.get("MaxAllocatedStorage"), size)
    _check_performance(params, database.engine, storage, size)
    call.notes["storage"] = before = {name: getattr(database, name) for name in _STORAGE.values()}
    changed = {name for name, known in _STORAGE.items() if params.get(name, before[known]) != before[known]}
    if not changed:
        return
    if any(ways.lags(name, _key(database)) for name in ("storage-change", "storage-optimization")):
        raise _impossible(
            "You can't currently modify the storage of this DB instance because the previous storage change "
            "is being optimized."
        )
    if "AllocatedStorage" in changed and size < database.allocated_storage * _LEAST_GROWTH:
        raise _impossible(
            f"Invalid storage size for engine name {database.engine} and storage type {storage}: {size}"
        )
    sized = {"AllocatedStorage", "Iops"}
    if storage == "gp3" and size >= _STRIPED_GIB and sized & changed and not sized <= params.keys():
        raise _impossible(
            "You must specify both the storage size and iops when modifying the storage size or iops on a DB "
            "instance that has iops."
        )


@correction.follows("rds", "CreateDBInstance", "RestoreDBInstanceFromDBSnapshot", "ModifyDBInstance")
def _follow_size(call: Call) -> None:
    """Report gp3's performance, and begin to optimize what has changed."""
    database, before, params = _database(call), call.notes.get("storage"), call.params
    if database is None:
        return
    if before is not None and str(params.get("ApplyImmediately")).lower() != "true":
        return
    if database.storage_type == "gp3":
        is_striped = database.allocated_storage >= _STRIPED_GIB
        iops, throughput = _PERFORMANCE[is_striped]
        database.iops = params.get("Iops") or (is_striped and database.iops) or iops
        database.storage_throughput = (
            params.get("StorageThroughput") or (is_striped and database.storage_throughput) or throughput
        )
    if before is not None and before != {name: getattr(database, name) for name in before}:
        ways.begin("storage-change", _key(database))
        ways.begin("storage-optimization", _key(database))
