from __future__ import annotations

import dataclasses

import pytest

from sandbox import account
from sandbox.mapping import images as mapping
from sandbox.real import disks


@pytest.fixture
def kept(images, unique):
    """A disk that another sandbox has kept as an image and its snapshot."""
    number = f"{int(unique.rpartition('-')[2]):017x}"
    own = mapping.OwnImage(
        region="eu-north-1",
        image_id=f"ami-{number}",
        snapshot_id=f"snap-{number}",
        name=f"image {unique}",
        description="",
        architecture="x86_64",
        root_device_name="/dev/xvda",
        boot_mode="uefi-preferred",
        size_gib=12,
        encrypted=False,
        instance_id="i-1",
        created="2026-11-25T10:00:00+00:00",
        image_tags={"a": "b"},
        snapshot_tags={"c": "d"},
    )
    images.disks = [disks.Disk(frozenset({own.image_id, own.snapshot_id}), dataclasses.asdict(own))]
    return own


def test_a_later_sandbox_has_the_image_in_its_account(images, kept, monkeypatch):
    assert images.take("other") == [kept.image_id]
    assert images.take("other") == [], "what is there is not taken twice"
    backend = account.ec2(kept.region)
    image = backend.amis[kept.image_id]
    assert (image.state, image.owner_id, image.ebs_snapshot.volume.size) == (
        "available",
        account.ACCOUNT_ID,
        12,
    )
    assert [tag["value"] for tag in (*image.get_tags(), *image.ebs_snapshot.get_tags())] == ["b", "d"]
    asked = []
    monkeypatch.setattr(mapping.images, "trusting", lambda ref, _: asked.append(ref) or "it")
    images._authority = type("Authority", (), {"ca_pem_path": None})
    assert images.boot(kept.image_id) == "it"
    assert asked == [f"localhost/flowstead/other:{kept.image_id}"]


def test_a_later_sandbox_has_the_snapshot_that_was_left(images, kept):
    images.disks = [dataclasses.replace(images.disks[0], names=frozenset({kept.snapshot_id}))]
    assert images.take("other") == []
    backend = account.ec2(kept.region)
    assert kept.snapshot_id in backend.snapshots
    assert kept.image_id not in backend.amis
    backend.delete_snapshot(kept.snapshot_id)
    images.forget(kept.snapshot_id)
    images.take("other")
    assert kept.snapshot_id not in backend.snapshots, "what was removed here does not come back"


def test_what_was_built_on_an_image_is_no_image(images, kept, monkeypatch):
    images.disks = [dataclasses.replace(images.disks[0], names=frozenset({f"{kept.image_id}-0123abcd"}))]
    entered = []
    monkeypatch.setattr(mapping, "enter", lambda *arguments, **_: entered.append(arguments))
    assert images.take("other") == []
    assert entered == []


def test_an_image_without_a_disk_boots_nothing(images):
    images._authority = type("Authority", (), {"ca_pem_path": None})
    with pytest.raises(LookupError, match="ami-1"):
        images.boot("ami-1")
