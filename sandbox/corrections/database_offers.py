"""What RDS offers: the engine versions that the sandbox can really run, and where."""

from __future__ import annotations

from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES

from sandbox import account
from sandbox.api import wire
from sandbox.api.call import Call
from sandbox.api.correction import Correction
from sandbox.corrections.cluster_checks import CAPACITIES
from sandbox.corrections.cluster_member_checks import SERVERLESS
from sandbox.mapping.engines import ENGINES, Engine
from sandbox.web import HttpResponse

correction = Correction()

_FAMILIES = ("t3", "t4g", "m5", "m6g", "m6i", "m7g", "m7i", "r5", "r6g", "r6i", "r7g", "r7i")
"""Source: "Supported DB engines for DB instance classes", Amazon RDS User Guide; without the rarest."""


def classes() -> list[str]:
    """List the instance classes."""
    return sorted(f"db.{kind}" for kind in INSTANCE_TYPES if kind.split(".", 1)[0] in _FAMILIES)


def zones(region: str) -> list[str]:
    """List the availability zones of a region.

    Args:
        region: the region.

    Returns:
        Their names.
    """
    return [zone.name for zone in account.ec2(region).describe_availability_zones()]


def _scaling(engine: Engine) -> dict[str, Any]:
    least, most = CAPACITIES
    return (
        {"ServerlessV2FeaturesSupport": {"MinCapacity": least, "MaxCapacity": most}}
        if engine.is_clustered
        else {}
    )


@correction.answers("rds", "DescribeDBEngineVersions")
def _describe_versions(call: Call) -> HttpResponse | None:
    asked, wanted = call.params.get("Engine"), str(call.params.get("EngineVersion") or "")
    family = str(call.params.get("DBParameterGroupFamily") or "")
    described = [
        {
            "Engine": engine.name,
            "EngineVersion": version,
            "MajorEngineVersion": engine.major(version),
            "DBParameterGroupFamily": engine.family(version),
            "DBEngineDescription": engine.title,
            "DBEngineVersionDescription": f"{engine.title} {version}",
            "ValidUpgradeTarget": [],
            "Status": "available",
            **_scaling(engine),
        }
        for engine in ENGINES.values()
        if asked in {None, engine.name}
        for version in engine.versions()
        if wanted in {"", version, engine.major(version)}
    ]
    chosen = [item for item in described if family in {"", item["DBParameterGroupFamily"]}]
    if str(call.params.get("DefaultOnly")).lower() == "true":
        chosen = chosen[:1]
    return wire.render_result(call, {"DBEngineVersions": chosen})


@correction.answers("rds", "DescribeOrderableDBInstanceOptions")
def _describe_options(call: Call) -> HttpResponse | None:
    params = call.params
    engine = ENGINES.get(str(params.get("Engine")))
    if engine is None:
        return None
    version, kind = str(params.get("EngineVersion") or ""), params.get("DBInstanceClass")
    offered = [v for v in engine.versions() if version in {"", v, engine.major(v)}]
    options: list[dict[str, Any]] = [
        {
            "Engine": engine.name,
            "EngineVersion": one,
            "DBInstanceClass": name,
            "LicenseModel": engine.license_model,
            "AvailabilityZones": [{"Name": zone} for zone in zones(call.region)],
            "MultiAZCapable": True,
            "StorageType": storage,
            "SupportsStorageEncryption": True,
            "SupportsStorageAutoscaling": True,
            "SupportsIAMDatabaseAuthentication": True,
            "Vpc": True,
            **({} if engine.is_clustered else {"MinStorageSize": 20, "MaxStorageSize": 65536}),
        }
        for one in offered
        for name in ((SERVERLESS,) if engine.is_clustered else classes())
        if kind in {None, name}
        for storage in (("aurora",) if engine.is_clustered else ("gp2", "gp3"))
    ]
    start, size = int(params.get("Marker") or 0), int(params.get("MaxRecords") or 100)
    result: dict[str, Any] = {"OrderableDBInstanceOptions": options[start : start + size]}
    if start + size < len(options):
        result["Marker"] = str(start + size)
    return wire.render_result(call, result)
