"""A host of `baked-…` starts from the account's own newest image; nothing else about it differs."""

from pathlib import Path
from typing import Any

import pytest

from provisioner import code
from provisioner.errors import NotOfferedError
from tests.unit.provisioner.moto_account import CODE, Account, changes, image

BAKED: dict[str, Any] = {"image": "baked-debian-13"}


def own(account: Account, number: int, **differing: Any) -> str:
    """Let the account have an image of its own."""
    tags = {"flowstead:system": "debian-13", "flowstead:code": CODE, **differing.pop("tags", {})}
    made = image(number, f"flowstead-debian-13-{number}", f"2026-11-{number:02d}")
    made |= {"owner_id": "123456789012", "public": False, "tags": tags, **differing}
    account.publish(made)
    return str(made["ami_id"])


def refusal(account: Account) -> str:
    with pytest.raises(NotOfferedError) as caught:
        account.apply(server=BAKED)
    assert not [name for name in account.calls if not name.startswith(("Describe", "Get", "List", "Head"))]
    return dict(caught.value.mistakes)["server.image"]


def test_a_host_starts_from_the_newest_that_fits(account: Account) -> None:
    own(account, 10)
    newest = own(account, 11)
    own(account, 12, architecture="arm64")
    own(account, 13, state="pending")
    own(account, 14, tags={"flowstead:system": "debian-12"})
    own(account, 15, owner_id="999999999999", public=True)
    account.apply(server=BAKED)
    assert account.live("server").facts["ImageId"] == newest
    assert account.live("server").tags["flowstead:image"] == "debian-13"
    assert account.plan(server=BAKED).notices == ()


def test_no_image_is_a_mistake_that_says_what_to_do(account: Account) -> None:
    text = refusal(account)
    assert "debian-13" in text
    assert "x86_64 in us-east-1" in text
    assert "python provision.py bake" in text
    assert "image: debian-13" in text


def test_an_image_for_another_processor_is_named(account: Account) -> None:
    own(account, 10, architecture="arm64")
    assert "1 for arm64" in refusal(account)


def test_a_host_that_runs_needs_no_image(account: Account) -> None:
    own(account, 10)
    account.apply(server=BAKED)
    account.unpublish()
    assert changes(account.plan(server=BAKED)) == {}


@pytest.mark.parametrize(
    ("before", "after"), [("debian-13", "baked-debian-13"), ("baked-debian-13", "debian-13")]
)
def test_plain_and_baked_are_no_difference(account: Account, before: str, after: str) -> None:
    own(account, 10)
    account.apply(server={"image": before})
    assert account.plan(server={"image": after}).is_empty


def test_a_newer_baked_image_is_a_notice(account: Account) -> None:
    own(account, 10)
    account.apply(server=BAKED)
    newer = own(account, 11)
    planned = account.plan(server=BAKED)
    assert planned.is_empty
    (notice,) = planned.notices
    assert newer in notice
    assert "from the baked debian-13 image" in notice


def test_an_image_of_other_code_is_a_notice_and_is_used(account: Account) -> None:
    old = own(account, 10, tags={"flowstead:code": "0.0.9 ba9876543210"})
    (notice,) = account.plan(server=BAKED).notices
    assert "0.0.9 ba9876543210" in notice
    assert CODE in notice
    account.apply(server=BAKED)
    assert account.live("server").facts["ImageId"] == old
    planned = account.plan(server=BAKED)
    assert planned.is_empty
    assert len(planned.notices) == 1


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in {
        "galaxy.yml": "name: mlflow\nversion: 1.2.3\n",
        "playbooks/bake_image.yml": "- hosts: all\n",
        "playbooks/back_up.yml": "- hosts: all\n",
        "roles/one/tasks/main.yml": "one",
        "roles/one/README.md": "words",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["roles/one/tasks/main.yml", "roles/one/files/new", "playbooks/bake_image.yml"]
)
def test_what_is_baked_changes_the_code(project: Path, name: str) -> None:
    before = code.current(project)
    assert before.startswith("1.2.3 ")
    assert len(before) == len("1.2.3 ") + 12
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text("other")
    assert code.current(project) != before


def test_a_file_that_moves_changes_the_code(project: Path) -> None:
    before = code.current(project)
    (project / "roles/one/tasks/main.yml").rename(project / "roles/one/tasks/other.yml")
    assert code.current(project) != before


@pytest.mark.parametrize(
    "name", ["roles/one/README.md", "roles/one/__pycache__/x.pyc", "playbooks/back_up.yml"]
)
def test_what_is_not_baked_leaves_the_code(project: Path, name: str) -> None:
    before = code.current(project)
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text("other")
    assert code.current(project) == before
