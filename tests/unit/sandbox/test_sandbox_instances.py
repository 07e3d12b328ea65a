from __future__ import annotations

from fnmatch import fnmatch

import pytest
from asking import TRUST, code_of, instance_of

from provisioner.systems import systems
from sandbox import amis
from sandbox.corrections import profiles
from sandbox.mapping.hosts import set_state
from sandbox.mapping.metadata import role_of

IMAGE = amis.images()[-1]["ami_id"]


def test_images_are_debians_and_the_newest_can_be_told(client):
    images = client("ec2").describe_images(
        Owners=["136693071363"], Filters=[{"Name": "name", "Values": ["debian-13-amd64-*"]}]
    )["Images"]
    assert len({image["CreationDate"] for image in images}) == len(images) == 2
    assert {image["RootDeviceName"] for image in images} == {"/dev/xvda"}


def test_an_instance_is_pending_until_its_host_has_booted(cloud, launch):
    (instance,) = launch()
    assert instance["State"]["Name"] == "pending"
    assert cloud.infrastructure.hosts.asked[-1][0] == "launch"
    assert cloud.infrastructure.hosts.asked[-1][1][0].id == instance["InstanceId"]


def test_a_repeated_token_gives_the_same_instance_and_no_second_host(cloud, launch, unique):
    (first,) = launch(ClientToken=unique)
    asked = len(cloud.infrastructure.hosts.asked)
    (second,) = launch(ClientToken=unique)
    assert second["InstanceId"] == first["InstanceId"]
    assert len(cloud.infrastructure.hosts.asked) == asked
    assert code_of(launch, ClientToken=unique, InstanceType="t3.micro") == "IdempotentParameterMismatch"


def test_as_many_are_launched_as_the_most_asked_for(launch):
    assert len(launch(MinCount=1, MaxCount=3)) == 3
    assert code_of(launch, MinCount=2, MaxCount=1) == "InvalidParameterValue"


def test_protection_asked_for_at_launch_protects(client, launch):
    (instance,) = launch(DisableApiTermination=True)
    set_state(instance_of(instance), "running")
    terminate = client("ec2").terminate_instances
    assert code_of(terminate, InstanceIds=[instance["InstanceId"]]) == "OperationNotPermitted"
    client("ec2").modify_instance_attribute(
        InstanceId=instance["InstanceId"], DisableApiTermination={"Value": False}
    )
    assert terminate(InstanceIds=[instance["InstanceId"]])


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"ImageId": "ami-0123456789abcdef0"}, "InvalidAMIID.NotFound"),
        ({"ImageId": "debian"}, "InvalidAMIID.Malformed"),
        ({"InstanceType": "t9.huge"}, "InvalidParameterValue"),
        ({"InstanceType": "t4g.small"}, "InvalidParameterValue"),
        ({"KeyName": "none"}, "InvalidKeyPair.NotFound"),
        ({"UserData": "x" * 20_000}, "InvalidParameterValue"),
        ({"IamInstanceProfile": {"Name": "none"}}, "InvalidParameterValue"),
        ({"SecurityGroupIds": ["sg-0123456789abcdef0"]}, "InvalidGroup.NotFound"),
        (
            {"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 4}}]},
            "InvalidBlockDeviceMapping",
        ),
    ],
)
def test_what_aws_refuses_at_launch_is_refused(launch, changed, code):
    assert code_of(launch, **changed) == code


def test_a_group_of_another_vpc_is_refused(client, launch):
    other = client("ec2").create_vpc(CidrBlock="10.81.0.0/16")["Vpc"]["VpcId"]
    group = client("ec2").create_security_group(GroupName="g", Description="g", VpcId=other)["GroupId"]
    assert code_of(launch, SecurityGroupIds=[group]) == "InvalidParameter"


def test_ec2_does_not_know_a_new_profile_at_once(client, launch, unique, monkeypatch):
    iam = client("iam")
    iam.create_role(RoleName=unique, AssumeRolePolicyDocument=TRUST)
    iam.create_instance_profile(InstanceProfileName=unique)
    iam.add_role_to_instance_profile(InstanceProfileName=unique, RoleName=unique)
    profile = {"IamInstanceProfile": {"Name": unique}}
    assert code_of(launch, **profile) == "InvalidParameterValue"
    monkeypatch.setattr(profiles, "DELAY_S", 0.0)
    both = launch(MinCount=2, MaxCount=2, **profile)
    assert [role_of(instance_of(instance)).name for instance in both] == [unique, unique]


def test_states_follow_the_host_and_calls_in_the_wrong_one_are_refused(cloud, client, launch):
    ec2, (instance,) = client("ec2"), launch()
    ids = {"InstanceIds": [instance["InstanceId"]]}
    assert code_of(ec2.stop_instances, **ids) == "IncorrectInstanceState"
    set_state(instance_of(instance), "running")
    ec2.stop_instances(**ids)
    assert cloud.infrastructure.hosts.names()[-1] == "stop"
    set_state(instance_of(instance), "stopping")
    assert code_of(ec2.start_instances, **ids) == "IncorrectInstanceState"
    set_state(instance_of(instance), "stopped")
    ec2.start_instances(**ids)
    assert cloud.infrastructure.hosts.names()[-1] == "start"
    set_state(instance_of(instance), "running")
    ec2.reboot_instances(**ids)
    assert cloud.infrastructure.hosts.names()[-1] == "reboot"
    ec2.terminate_instances(**ids)
    assert cloud.infrastructure.hosts.names()[-1] == "terminate"


def test_starting_what_runs_starts_nothing(cloud, client, launch):
    (instance,) = launch()
    set_state(instance_of(instance), "running")
    asked = len(cloud.infrastructure.hosts.asked)
    client("ec2").start_instances(InstanceIds=[instance["InstanceId"]])
    assert len(cloud.infrastructure.hosts.asked) == asked
    assert instance_of(instance).state == "running"


def test_metadata_options_keep_what_a_call_leaves_out(client, launch):
    (instance,) = launch(MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1})
    client("ec2").modify_instance_metadata_options(
        InstanceId=instance["InstanceId"], HttpPutResponseHopLimit=2
    )
    options = instance_of(instance).metadata_options
    assert (options.http_tokens, options.http_put_response_hop_limit) == ("required", 2)


def test_credits_are_what_was_asked_for_and_else_aws_own(client, launch):
    ec2 = client("ec2")

    def has(host):
        answer = ec2.describe_instance_credit_specifications(InstanceIds=[host])
        return [one["CpuCredits"] for one in answer["InstanceCreditSpecifications"]]

    (dear,) = launch()
    (slow,) = launch(CreditSpecification={"CpuCredits": "standard"})
    assert (has(dear["InstanceId"]), has(slow["InstanceId"])) == (["unlimited"], ["standard"])
    wanted = [{"InstanceId": dear["InstanceId"], "CpuCredits": "standard"}]
    ec2.modify_instance_credit_specification(InstanceCreditSpecifications=wanted)
    assert has(dear["InstanceId"]) == ["standard"]


def test_a_key_pair_is_deleted_by_its_id_and_none_that_has_taken_its_name(client, unique):
    ec2 = client("ec2")
    first = ec2.create_key_pair(KeyName=unique)["KeyPairId"]
    ec2.delete_key_pair(KeyPairId=first)
    second = ec2.create_key_pair(KeyName=unique)["KeyPairId"]
    ec2.delete_key_pair(KeyPairId=first)
    assert ec2.describe_key_pairs(KeyNames=[unique])["KeyPairs"][0]["KeyPairId"] == second


def test_hosts_boot_systems_that_the_product_knows_by_their_publishers_names():
    """Two tables, one on each side of the seam, say the same."""
    for image in amis.images():
        known = systems[amis.system_of(image["ami_id"])]
        assert image["owner_id"] == known.owner
        assert fnmatch(image["name"], known.images.format(debian="amd64", kernel="x86_64"))
