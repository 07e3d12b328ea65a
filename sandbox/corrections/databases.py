"""RDS instances: the states they go through, their endpoint, their secret, and the server behind them."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

from moto.rds.models import DBInstance, MasterUserSecret

from sandbox import account
from sandbox.api import wire
from sandbox.api.call import Call
from sandbox.api.correction import Correction, substitute
from sandbox.api.refusal import Refusal
from sandbox.corrections.database_storage import USABLE
from sandbox.mapping.database_objects import new_password
from sandbox.mapping.engines import ENGINES
from sandbox.mapping.infrastructure import Infrastructure
from sandbox.real.site import Site

correction = Correction()

_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"

# Changed in the next maintenance window unless ApplyImmediately is set.
# Source: "Using the schedule modifications setting", Amazon RDS User Guide.
_DEFERRED = {
    "DBInstanceClass": "db_instance_class",
    "AllocatedStorage": "allocated_storage",
    "MultiAZ": "multi_az",
    "StorageType": "storage_type",
    "Iops": "iops",
    "StorageThroughput": "storage_throughput",
}
LIFECYCLE = "open-source-rds-extended-support"
"""Where a call says nothing. Source: EngineLifecycleSupport of CreateDBInstance, RDS's API reference."""


@correction.patch
def _patch(infrastructure: Infrastructure) -> None:
    """Give instances the endpoint, the secret and the status of real ones."""

    def address(self: Any) -> str:
        mark = mark_of(infrastructure.site, self.region)
        return f"{self.db_instance_identifier}.{mark}.{self.region}.rds.amazonaws.com"

    def endpoint(self: Any) -> dict[str, Any] | None:
        if self.status == "creating":
            return None
        return {"Address": self.address, "Port": self.port, "HostedZoneId": "Z2R2ITUGPM61AM"}

    def status_list(self: Any) -> Any:
        groups = self.db_parameter_groups()
        for group in groups:
            group.ParameterApplyStatus = getattr(self, "parameter_status", "in-sync")
        return groups

    def default_group(self: Any) -> tuple[str, str]:
        family = ENGINES[self.engine].family(str(self.engine_version))
        return family, f"default.{family}"

    def secret_string(self: Any) -> str:
        return json.dumps({"username": self.resource.master_username, "password": new_password()})

    def rotate(self: Any) -> None:
        self.secretsmanager.put_secret_value(
            secret_id=self.secret.arn,
            secret_string=self._generate_secret_string(),
            secret_binary=None,
            client_request_token=None,
            version_stages=["AWSCURRENT"],
        )

    substitute(DBInstance, "address", property(address))
    substitute(DBInstance, "endpoint", property(endpoint))
    substitute(DBInstance, "default_db_parameter_group_details", default_group)
    substitute(DBInstance, "db_parameter_group_status_list", property(status_list))
    # The automated backups of AWS are not taken here; moto would list one that holds nothing.
    substitute(DBInstance, "save_automated_backup", lambda _: None)
    substitute(MasterUserSecret, "_generate_secret_string", secret_string)
    substitute(MasterUserSecret, "rotate_secret", rotate)


def mark_of(site: Site, region: str) -> str:
    """Return what a sandbox's endpoints in a region have in common: a machine may know those of several."""
    seed = f"{account.ACCOUNT_ID}/{site.clone}/{site.name}/{region}".encode()
    return "c" + "".join(_LETTERS[byte % len(_LETTERS)] for byte in hashlib.sha256(seed).digest()[:11])


def new_resource_id() -> str:
    """Make an id of an instance that no other ever has."""
    return "db-" + "".join(secrets.choice(_LETTERS.upper()) for _ in range(26))


def _show(call: Call, database: Any) -> None:
    """Answer with the instance as it is now: moto answered before the server was told."""
    call.response = wire.render_result(call, {"DBInstance": database})


def _database(call: Call) -> Any:
    """Return the database that a call names, or None: it names none, or a cluster's member."""
    database = account.rds(call.region).databases.get(str(call.params.get("DBInstanceIdentifier")))
    return database if database is not None and not database.db_cluster_identifier else None


@correction.acts("rds", "CreateDBInstance", "RestoreDBInstanceFromDBSnapshot")
def _create(call: Call, infrastructure: Infrastructure) -> None:
    database = _database(call)
    if database is None:
        return
    database.dbi_resource_id = new_resource_id()
    database.engine_lifecycle_support = call.params.get("EngineLifecycleSupport") or LIFECYCLE
    if call.action == "CreateDBInstance":
        # Filled in where the call left it out; moto has read the call as it came.
        database.engine_version = call.params["EngineVersion"]
    snapshot = call.params.get("DBSnapshotIdentifier")
    infrastructure.databases.create(database, str(snapshot).rpartition(":")[2].lower() if snapshot else None)
    _show(call, database)


@correction.refuses("rds", "ModifyDBInstance")
def _remember(call: Call) -> None:
    database = _database(call)
    if database is not None:
        call.notes["before"] = {name: getattr(database, attribute) for name, attribute in _DEFERRED.items()}
        call.notes["group"] = database.db_parameter_group_name
        call.notes["version"] = database.engine_version


@correction.acts("rds", "ModifyDBInstance")
def _modify(call: Call, infrastructure: Infrastructure) -> None:
    database, params = _database(call), call.params
    if database is None:
        return
    if str(params.get("ApplyImmediately")).lower() != "true":
        pending = {}
        for name, old in call.notes["before"].items():
            if name in params and params[name] != old:
                pending[name] = params[name]
                setattr(database, _DEFERRED[name], old)
        if pending:
            database.pending_modified_values = {**getattr(database, "pending_modified_values", {}), **pending}
    else:
        database.pending_modified_values = {}
    # A major version that it has is no wish for another minor one.
    database.engine_version = call.notes["version"]
    group_changed = database.db_parameter_group_name != call.notes["group"]
    infrastructure.databases.follow(database, group_changed=group_changed)
    _show(call, database)


@correction.acts("rds", "StopDBInstance", "StartDBInstance", "RebootDBInstance")
def _act(call: Call, infrastructure: Infrastructure) -> None:
    databases, database = infrastructure.databases, _database(call)
    if database is None:
        return
    action = {
        "StopDBInstance": databases.stop,
        "StartDBInstance": databases.start,
        "RebootDBInstance": databases.reboot,
    }[call.action]
    action(database)
    _show(call, database)


@correction.acts("rds", "ModifyDBParameterGroup")
def _apply_parameters(call: Call, infrastructure: Infrastructure) -> None:
    name = str(call.params.get("DBParameterGroupName")).lower()
    for database in account.rds(call.region).databases.values():
        own = not database.db_cluster_identifier
        if own and database.db_parameter_group_name == name and database.status in USABLE:
            infrastructure.databases.apply_parameters(database)


@correction.acts("rds", "CreateDBSnapshot")
def _snapshot(call: Call, infrastructure: Infrastructure) -> None:
    backend = account.rds(call.region)
    snapshot = backend.database_snapshots[str(call.params["DBSnapshotIdentifier"])]
    infrastructure.databases.snapshot(_database(call), snapshot)


@correction.refuses("rds", "RestoreDBInstanceFromDBSnapshot")
def _check_snapshot(call: Call) -> None:
    snapshot_id = str(call.params.get("DBSnapshotIdentifier")).rpartition(":")[2].lower()
    snapshot = account.rds(call.region).database_snapshots.get(snapshot_id)
    if snapshot is not None and snapshot.status != "available":
        raise Refusal(
            "InvalidDBSnapshotState", f"The snapshot {snapshot_id} is not available: {snapshot.status}"
        )


@correction.acts("rds", "DeleteDBSnapshot")
def _drop_snapshot(call: Call, infrastructure: Infrastructure) -> None:
    infrastructure.databases.drop_snapshot(str(call.params["DBSnapshotIdentifier"]).lower())


@correction.refuses("rds", "DeleteDBInstance")
def _remember_deleted(call: Call) -> None:
    call.notes["database"] = _database(call)


@correction.acts("rds", "DeleteDBInstance")
def _delete(call: Call, infrastructure: Infrastructure) -> None:
    database, backend = call.notes["database"], account.rds(call.region)
    if database is None:
        return
    key = database.db_instance_identifier
    # On AWS it is listed as deleting until its server is gone.
    backend.databases[key] = database
    final = call.params.get("FinalDBSnapshotIdentifier")
    skip = str(call.params.get("SkipFinalSnapshot")).lower() == "true"
    snapshot = backend.database_snapshots.get(str(final)) if final and not skip else None
    infrastructure.databases.delete(database, snapshot, lambda: backend.databases.pop(key, None) and None)
    _show(call, database)
