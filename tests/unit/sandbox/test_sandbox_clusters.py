"""Aurora clusters as the account has them: what is refused, what is shown, what is asked of real servers."""

from __future__ import annotations

import json

import pytest
from asking import cluster_of, code_of

from sandbox import account
from sandbox.mapping import database_objects
from sandbox.mapping.database_objects import password_of


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"EngineVersion": "16.1"}, "InvalidParameterCombination"),
        ({"Engine": "aurora-mysql"}, "InvalidParameterCombination"),
        ({"Engine": "neptune"}, "UnsupportedInSandbox"),
        ({"Engine": "postgres"}, "UnsupportedInSandbox"),
        ({"ScalingConfiguration": {"MinCapacity": 2}}, "UnsupportedInSandbox"),
        ({"BackupRetentionPeriod": 0}, "InvalidParameterValue"),
        ({"BackupRetentionPeriod": 36}, "InvalidParameterValue"),
        ({"StorageType": "gp3"}, "StorageTypeNotSupported"),
        ({"MasterUsername": "rdsadmin"}, "InvalidParameterValue"),
        ({"MasterUsername": None}, "InvalidParameterValue"),
        ({"DatabaseName": "1st"}, "InvalidParameterValue"),
        ({"MasterUserPassword": "long-enough"}, "InvalidParameterCombination"),
        ({"ManageMasterUserPassword": None}, "InvalidParameterValue"),
        ({"VpcSecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidParameterValue"),
        ({"DBSubnetGroupName": "none"}, "DBSubnetGroupNotFoundFault"),
        ({"DBClusterParameterGroupName": "none"}, "DBClusterParameterGroupNotFound"),
        ({"DBClusterIdentifier": "two--hyphens"}, "InvalidParameterValue"),
    ],
)
def test_what_rds_refuses_is_refused(create_cluster, changed, code):
    assert code_of(create_cluster, **changed) == code


@pytest.mark.parametrize(
    ("least", "most"),
    [(None, 2), (0.5, None), (0.7, 2), (0.5, 2.25), (4, 2), (0, 0.5), (0, 257), (-1, 2)],
)
def test_capacities_go_in_halves_within_limits_and_in_order(create_cluster, client, unique, least, most):
    given = {"MinCapacity": least, "MaxCapacity": most}
    wrong = {name: number for name, number in given.items() if number is not None}
    assert code_of(create_cluster, ServerlessV2ScalingConfiguration=wrong) == "InvalidParameterValue"
    create_cluster()
    modify = client("rds").modify_db_cluster
    if None not in given.values():
        code = code_of(modify, DBClusterIdentifier=unique, ServerlessV2ScalingConfiguration=wrong)
        assert code == "InvalidParameterValue"


def test_a_second_cluster_of_a_name_is_refused(create_cluster):
    create_cluster()
    assert code_of(create_cluster) == "DBClusterAlreadyExistsFault"


def test_a_second_of_a_name_in_other_letters_is_refused(create_cluster, unique):
    create_cluster()
    assert code_of(create_cluster, DBClusterIdentifier=unique.upper()) == "DBClusterAlreadyExistsFault"


def test_two_clusters_of_other_engines_and_an_instance_stand_side_by_side(
    create_cluster, create_database, client, unique
):
    """As while a deployment's data are moved."""
    create_cluster()
    create_cluster(DBClusterIdentifier=f"{unique}-mysql", Engine="aurora-mysql", EngineVersion="8.0")
    create_database()
    rds = client("rds")
    clusters = rds.describe_db_clusters()["DBClusters"]
    names = {one["DBClusterIdentifier"]: one["Endpoint"] for one in clusters if unique in one["Endpoint"]}
    assert set(names) == {unique, f"{unique}-mysql"}
    (instance,) = rds.describe_db_instances(DBInstanceIdentifier=unique)["DBInstances"]
    assert len({*names.values(), instance["Endpoint"]["Address"]}) == 3


@pytest.mark.parametrize(
    ("kind", "code"),
    [("cluster", "DBClusterNotFoundFault"), ("db", "DBInstanceNotFound"), ("snapshot", "DBSnapshotNotFound")],
)
def test_what_is_not_there_is_not_tagged(create_cluster, client, kind, code):
    there = create_cluster()["DBClusterArn"]
    name, rds = there.replace(":cluster:", f":{kind}:") + "-of-before", client("rds")
    tags = [{"Key": "flowstead:moved-to", "Value": "elsewhere"}]
    assert code_of(rds.add_tags_to_resource, ResourceName=name, Tags=tags) == code
    assert code_of(rds.remove_tags_from_resource, ResourceName=name, TagKeys=["flowstead:moved-to"]) == code
    rds.add_tags_to_resource(ResourceName=there, Tags=tags)
    assert tags[0] in rds.list_tags_for_resource(ResourceName=there)["TagList"]


def test_a_new_cluster_is_shown_as_rds_shows_it(create_cluster, client, unique):
    made = create_cluster()
    assert made["Endpoint"].startswith(f"{unique}.cluster-c")
    assert made["ReaderEndpoint"].startswith(f"{unique}.cluster-ro-c")
    assert made["DBClusterParameterGroup"] == "default.aurora-postgresql17"
    assert made["EngineLifecycleSupport"] == "open-source-rds-extended-support"
    assert made["ServerlessV2ScalingConfiguration"] == {"MinCapacity": 0.5, "MaxCapacity": 2.0}
    secret = client("secretsmanager").get_secret_value(SecretId=made["MasterUserSecret"]["SecretArn"])
    content = json.loads(secret["SecretString"])
    assert content == {"username": "flowstead", "password": password_of(cluster_of(unique))}


def test_mysqls_versions_and_families_are_named_by_two_numbers(create_cluster, client, unique):
    rds, group = client("rds"), {"DBClusterParameterGroupName": unique}
    rds.create_db_cluster_parameter_group(
        **group, DBParameterGroupFamily="aurora-mysql8.0", Description="for a test"
    )
    wanted = {
        "ParameterName": "log_bin_trust_function_creators",
        "ParameterValue": "1",
        "ApplyMethod": "immediate",
    }
    rds.modify_db_cluster_parameter_group(**group, Parameters=[wanted])
    wrong = wanted | {"ParameterName": "require_secure_transport"}
    code = code_of(rds.modify_db_cluster_parameter_group, **group, Parameters=[wrong])
    assert code == "InvalidParameterValue"
    made = create_cluster(Engine="aurora-mysql", EngineVersion="8.0", **group)
    assert (made["Port"], made["DBClusterParameterGroup"]) == (3306, unique)
    (offered,) = rds.describe_db_engine_versions(Engine="aurora-mysql")["DBEngineVersions"]
    assert offered["EngineVersion"].startswith("8.0.mysql_aurora.3.")
    assert offered["DBParameterGroupFamily"] == "aurora-mysql8.0"
    other = {"DBClusterIdentifier": f"{unique}-other", "Engine": "aurora-mysql", "EngineVersion": "5.7"}
    assert code_of(create_cluster, **other) == "InvalidParameterCombination"


def test_what_the_call_leaves_out_is_filled_in(create_cluster, client):
    made = create_cluster(EngineVersion=None)
    default = client("rds").describe_db_engine_versions(Engine="aurora-postgresql", DefaultOnly=True)
    assert made["EngineVersion"] == default["DBEngineVersions"][0]["EngineVersion"]


def test_parameters_of_clusters_are_those_of_their_family(client, create_cluster, unique):
    rds, group = client("rds"), {"DBClusterParameterGroupName": unique}
    family = {"DBParameterGroupFamily": "aurora-postgresql15"}
    wrong = {"DBParameterGroupFamily": "aurora-postgresql9"}
    assert code_of(rds.create_db_cluster_parameter_group, **group, **wrong, Description="d") == (
        "InvalidParameterValue"
    )
    rds.create_db_cluster_parameter_group(**group, **family, Description="d")
    assert code_of(create_cluster, **group) == "InvalidParameterCombination"

    def force_ssl():
        pages = rds.get_paginator("describe_db_cluster_parameters").paginate(**group)
        (found,) = (
            one for page in pages for one in page["Parameters"] if one["ParameterName"] == "rds.force_ssl"
        )
        return found["ParameterValue"], found["Source"]

    # From version 17 on it is 1.
    assert force_ssl() == ("0", "system")
    create_cluster(EngineVersion="15", **group)
    assert database_objects.cluster_parameters_of(cluster_of(unique)) == {"rds.force_ssl": "0"}
    one = {"ParameterName": "rds.force_ssl", "ParameterValue": "1", "ApplyMethod": "immediate"}
    rds.modify_db_cluster_parameter_group(**group, Parameters=[one])
    assert force_ssl() == ("1", "user")
    assert database_objects.cluster_parameters_of(cluster_of(unique)) == {"rds.force_ssl": "1"}
    one = {"ParameterName": "no.such", "ParameterValue": "1", "ApplyMethod": "immediate"}
    assert code_of(rds.modify_db_cluster_parameter_group, **group, Parameters=[one]) == "UnsupportedInSandbox"
    code = code_of(rds.delete_db_cluster_parameter_group, **group)
    assert code == "InvalidDBParameterGroupState"
    assert code_of(rds.delete_db_subnet_group, DBSubnetGroupName=unique) == "InvalidDBSubnetGroupStateFault"


def test_a_restored_cluster_has_the_password_of_its_snapshot(cloud, client, create_cluster, network, unique):
    rds, named = client("rds"), {"DBClusterIdentifier": unique}
    create_cluster()
    password = password_of(cluster_of(unique))
    rds.create_db_cluster_snapshot(**named, DBClusterSnapshotIdentifier=f"{unique}-s")
    snapshot = account.rds("us-east-1").cluster_snapshots[f"{unique}-s"]
    copy = {
        "DBClusterIdentifier": f"{unique}-c",
        "SnapshotIdentifier": f"{unique}-s",
        "Engine": "aurora-postgresql",
        "DBSubnetGroupName": unique,
        "VpcSecurityGroupIds": [network.group],
        "ServerlessV2ScalingConfiguration": {"MinCapacity": 1, "MaxCapacity": 4},
    }
    snapshot.status = "creating"
    assert code_of(rds.restore_db_cluster_from_snapshot, **copy) == "InvalidDBClusterSnapshotStateFault"
    snapshot.status, snapshot.master_password = "available", password
    assert code_of(rds.restore_db_cluster_from_snapshot, **copy | {"SnapshotIdentifier": "no"}) == (
        "DBClusterSnapshotNotFoundFault"
    )
    made = rds.restore_db_cluster_from_snapshot(**copy)["DBCluster"]
    assert made["MasterUsername"] == "flowstead"
    assert "MasterUserSecret" not in made
    assert made["ServerlessV2ScalingConfiguration"] == {"MinCapacity": 1.0, "MaxCapacity": 4.0}
    assert password_of(cluster_of(f"{unique}-c")) == password
    assert cloud.infrastructure.clusters.asked[-1] == ("create", (cluster_of(f"{unique}-c"), f"{unique}-s"))


def test_a_rotation_that_is_not_wanted_now_loses_no_cluster(client, create_cluster, unique):
    rds, named = client("rds"), {"DBClusterIdentifier": unique}
    create_cluster()
    before = password_of(cluster_of(unique))
    code = code_of(rds.modify_db_cluster, **named, RotateMasterUserPassword=True)
    assert code == "InvalidParameterCombination"
    rds.modify_db_cluster(**named, RotateMasterUserPassword=True, ApplyImmediately=True)
    assert password_of(cluster_of(unique)) != before


def test_another_version_is_refused_and_the_same_major_one_is_no_change(client, create_cluster, unique):
    rds, named = client("rds"), {"DBClusterIdentifier": unique, "ApplyImmediately": True}
    create_cluster()
    cluster_of(unique).engine_version = "17.6"
    assert rds.modify_db_cluster(**named, EngineVersion="17")["DBCluster"]["EngineVersion"] == "17.6"
    assert code_of(rds.modify_db_cluster, **named, EngineVersion="15") == "UnsupportedInSandbox"
    assert code_of(rds.modify_db_cluster, **named, EngineVersion="99.9") == "InvalidParameterCombination"


def test_offers_name_the_serverless_class_and_its_limits(client):
    rds = client("rds")
    named = {"Engine": "aurora-postgresql"}
    options = rds.describe_orderable_db_instance_options(**named)["OrderableDBInstanceOptions"]
    assert {one["DBInstanceClass"] for one in options} == {"db.serverless"}
    versions = rds.describe_db_engine_versions(**named)["DBEngineVersions"]
    assert {one["DBParameterGroupFamily"] for one in versions} == {
        "aurora-postgresql15",
        "aurora-postgresql17",
    }
    assert versions[0]["ServerlessV2FeaturesSupport"] == {"MinCapacity": 0.0, "MaxCapacity": 256.0}


def test_clusters_and_their_parameters_are_in_the_list_of_what_carries_a_tag(client, create_cluster, unique):
    tags = [{"Key": "of", "Value": unique}]
    create_cluster(Tags=tags)
    client("rds").create_db_cluster_parameter_group(
        DBClusterParameterGroupName=unique,
        DBParameterGroupFamily="aurora-postgresql17",
        Description="d",
        Tags=tags,
    )
    filters = [{"Key": "of", "Values": [unique]}]
    listed = client("resourcegroupstaggingapi").get_resources(TagFilters=filters)["ResourceTagMappingList"]
    found = {one["ResourceARN"].split(":", 5)[5] for one in listed}
    assert found == {f"cluster:{unique}", f"cluster-pg:{unique}"}
