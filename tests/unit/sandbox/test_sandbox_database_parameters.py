from __future__ import annotations

from types import SimpleNamespace

import pytest
from asking import code_of, database_of

from sandbox.mapping.database_objects import parameters_of


def test_parameters_reach_the_servers_that_use_them(cloud, client, create_database, unique):
    rds = client("rds")
    rds.create_db_parameter_group(
        DBParameterGroupName=unique, DBParameterGroupFamily="postgres17", Description="d"
    )
    create_database(DBParameterGroupName=unique)
    rds.modify_db_parameter_group(
        DBParameterGroupName=unique,
        Parameters=[{"ParameterName": "rds.force_ssl", "ParameterValue": "1", "ApplyMethod": "immediate"}],
    )
    assert cloud.infrastructure.databases.names()[-1] == "apply_parameters"
    assert parameters_of(database_of(unique)) == {"rds.force_ssl": "1"}
    wrong = {"DBParameterGroupName": f"{unique}-9", "DBParameterGroupFamily": "postgres9", "Description": "d"}
    assert code_of(rds.create_db_parameter_group, **wrong) == "InvalidParameterValue"


@pytest.fixture
def parameters(client, unique):
    """A parameter group: ``set`` a parameter, ``shown`` what RDS says of one."""
    rds = client("rds")
    rds.create_db_parameter_group(
        DBParameterGroupName=unique, DBParameterGroupFamily="postgres17", Description="d"
    )

    def set_one(name, value, method="immediate"):
        one = {"ParameterName": name, "ParameterValue": value, "ApplyMethod": method}
        rds.modify_db_parameter_group(DBParameterGroupName=unique, Parameters=[one])

    def shown(name, **only):
        pages = rds.get_paginator("describe_db_parameters").paginate(DBParameterGroupName=unique, **only)
        return next((p for page in pages for p in page["Parameters"] if p["ParameterName"] == name), None)

    return SimpleNamespace(set=set_one, shown=shown)


def test_a_parameter_set_to_its_default_is_not_the_users(parameters):
    parameters.set("rds.force_ssl", "1")
    assert parameters.shown("rds.force_ssl", Source="user") is None
    assert parameters.shown("rds.force_ssl")["Source"] == "system"
    parameters.set("rds.force_ssl", "0")
    assert parameters.shown("rds.force_ssl", Source="user")["ParameterValue"] == "0"
    untouched = parameters.shown("work_mem", Source="engine-default")
    assert "ParameterValue" not in untouched
    assert untouched["AllowedValues"] == "64-2147483647"


@pytest.mark.parametrize(
    ("name", "value", "method", "code"),
    [
        ("rds.force_tls", "1", "immediate", "InvalidParameterValue"),
        ("max_connections", "50", "immediate", "InvalidParameterCombination"),
        ("max_connections", "5", "pending-reboot", "InvalidParameterValue"),
        ("max_connections", "many", "pending-reboot", "InvalidParameterValue"),
        ("rds.force_ssl", "yes", "immediate", "InvalidParameterValue"),
        ("log_statement", "some", "immediate", "InvalidParameterValue"),
        ("data_directory", "/tmp", "pending-reboot", "InvalidParameterValue"),  # noqa: S108 - never used
        ("max_connections", "{DBInstanceClassMemory/1}", "pending-reboot", "UnsupportedInSandbox"),
        ("pgaudit.log", "all", "immediate", "UnsupportedInSandbox"),
    ],
)
def test_parameters_that_rds_refuses_are_refused(parameters, name, value, method, code):
    assert code_of(parameters.set, name=name, value=value, method=method) == code


def test_each_version_that_is_offered_has_its_parameters(client, unique):
    rds = client("rds")
    for version in rds.describe_db_engine_versions(Engine="postgres")["DBEngineVersions"]:
        group = f"default.{version['DBParameterGroupFamily']}"
        answer = rds.describe_db_parameters(DBParameterGroupName=group)
        assert (len(answer["Parameters"]), "Marker" in answer) == (100, True)
    one = {"ParameterName": "work_mem", "ParameterValue": "64", "ApplyMethod": "immediate"}
    change = rds.modify_db_parameter_group
    assert code_of(change, DBParameterGroupName=group, Parameters=[one]) == "InvalidParameterValue"
    assert code_of(rds.describe_db_parameters, DBParameterGroupName=unique) == "DBParameterGroupNotFound"
