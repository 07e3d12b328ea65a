"""What AWS does not offer is said before anything is made."""

import pytest
from moto.ec2.models.availability_zones_and_regions import RegionsAndZonesBackend, Zone
from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS

from provisioner.errors import NotOfferedError
from provisioner.resources.ec2.instance_facts import architecture
from tests.unit.provisioner.moto_account import Account, changes


def mistakes(account: Account, **wanted: object) -> dict[str, str]:
    with pytest.raises(NotOfferedError) as caught:
        account.apply(**wanted)
    assert not [name for name in account.calls if not name.startswith(("Describe", "Get", "List", "Head"))]
    return dict(caught.value.mistakes)


def test_an_unknown_instance_type_names_its_key(account: Account) -> None:
    text = mistakes(account, server={"instance_type": "t3.tiny"})["server.instance_type"]
    assert text.startswith("'t3.tiny' is not an instance type that AWS offers in us-east-1; offered there: ")
    assert "t3.micro" in text


def test_a_class_that_is_not_offered_names_its_key(account: Account) -> None:
    account.options.clear()
    assert "db.t4g.micro" in mistakes(account)["database.instance_class"]


def test_a_class_that_a_region_lacks_is_refused_with_those_that_it_has(account: Account) -> None:
    account.options = [one for one in account.options if one["DBInstanceClass"] != "db.t4g.micro"]
    text = mistakes(account)["database.instance_class"]
    assert text.endswith("for PostgreSQL in us-east-1; offered there: db.t4g.small")
    text = mistakes(account, database={"instance_class": "db.x9g.huge"})["database.instance_class"]
    assert text.endswith("offered there: db.m7g.large, db.t4g.small, db.m7g.xlarge")


def test_a_version_that_is_not_offered_names_those_that_are(account: Account) -> None:
    text = mistakes(account, database={"engine_version": "16"})["database.engine_version"]
    assert "15.8, 17.4, 17.6" in text


def test_one_zone_is_not_enough(account: Account) -> None:
    for option in account.options:
        option["AvailabilityZones"] = [{"Name": "us-east-1a"}]
    text = mistakes(account)["server.instance_type"]
    assert "us-east-1a" in text
    assert "2 zones" in text


def test_both_mistakes_are_said_at_once(account: Account) -> None:
    account.options.clear()
    found = mistakes(account, server={"instance_type": "t3.tiny"})
    assert set(found) == {"server.instance_type", "database.instance_class"}


def test_zones_are_those_that_offer_both(account: Account) -> None:
    for option in account.options:
        option["AvailabilityZones"] = [{"Name": "us-east-1b"}, {"Name": "us-east-1d"}]
    account.apply()
    zones = [account.live(name).facts["AvailabilityZone"] for name in ("public_1", "private_1", "private_2")]
    assert zones == ["us-east-1b", "us-east-1b", "us-east-1d"]


def test_local_zones_are_none_of_ours(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    local = "us-east-1-bos-1a"
    zones = [
        *RegionsAndZonesBackend.zones["us-east-1"],
        Zone(local, "us-east-1", "use1-bos1-az1", "local-zone"),
    ]
    monkeypatch.setitem(RegionsAndZonesBackend.zones, "us-east-1", zones)
    offerings = [{"InstanceType": "t3.small", "Location": local}]
    offerings += INSTANCE_TYPE_OFFERINGS["availability-zone"]["us-east-1"]
    monkeypatch.setitem(INSTANCE_TYPE_OFFERINGS["availability-zone"], "us-east-1", offerings)
    for option in account.options:
        option["AvailabilityZones"].append({"Name": local})
    account.apply()
    assert account.live("public_1").facts["AvailabilityZone"] == "us-east-1a"


def test_zones_stay_when_aws_offers_others_later(stacked: Account) -> None:
    for option in stacked.options:
        option["AvailabilityZones"] = [{"Name": "us-east-1d"}, {"Name": "us-east-1f"}]
    assert stacked.plan().is_empty


def test_a_new_size_that_the_deployments_zones_lack_is_refused(stacked: Account) -> None:
    for option in stacked.options:
        option["AvailabilityZones"] = [{"Name": "us-east-1d"}, {"Name": "us-east-1f"}]
    text = mistakes(stacked, server={"instance_type": "t3.medium"})["server.instance_type"]
    assert "us-east-1d, us-east-1f only" in text


def test_no_image_is_a_mistake_until_the_host_is_there(account: Account) -> None:
    image = {"image": "amazon-linux-2023"}
    assert "al2023-ami" in mistakes(account, server=image)["server.image"]


def test_an_image_that_is_no_longer_offered_troubles_no_host_that_runs(stacked: Account) -> None:
    stacked.unpublish()
    assert changes(stacked.plan()) == {}


@pytest.mark.parametrize(
    ("instance_type", "expected"),
    [
        ("t3.small", "x86_64"),
        ("t4g.small", "arm64"),
        ("m7gd.large", "arm64"),
        ("c6gn.large", "arm64"),
        ("g5.xlarge", "x86_64"),
        ("g5g.xlarge", "arm64"),
        ("a1.medium", "arm64"),
        ("c7i-flex.large", "x86_64"),
    ],
)
def test_the_processor_follows_from_the_type(instance_type: str, expected: str) -> None:
    assert architecture(instance_type) == expected
