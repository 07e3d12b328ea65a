"""Images that clones of the project share: none takes another's away."""

import json

import pytest

from sandbox.real import clones, disks, images

OTHER, GONE = "0123456789", "9876543210"


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine's images: name or id -> labels; what is removed is gone from it."""
    monkeypatch.setattr(clones, "MARKS", tmp_path / "marks")
    monkeypatch.setattr(clones, "HERE", tmp_path / "here")
    found = {}

    def run(*arguments, **_):
        assert arguments[:2] == ("podman", "images")
        if arguments[-1] == "json":
            return json.dumps(
                [
                    {"Id": name, "Names": [name] if "/" in name else None, "Labels": labels}
                    for name, labels in found.items()
                ]
            )
        of_bases = f"label={images.BASE_LABEL}" in arguments
        names = (name for name, labels in found.items() if (labels.get("flowstead") == "base") is of_bases)
        return "".join(f"{name if '/' in name else '<none>:<none>'} {name}\n" for name in names)

    def attempt(*arguments, **_):
        if arguments[1] in {"rmi", "untag"}:
            found.pop(arguments[-1])
        return True

    for module in (images, disks):
        monkeypatch.setattr(module, "run", run)
        monkeypatch.setattr(module, "attempt", attempt)
    return found


def marks(clone, home, *names):
    directory = clones.MARKS / clone
    directory.mkdir(parents=True)
    (directory / "home").symlink_to(home)
    for name in names:
        (directory / name).touch()


def test_what_a_user_built_on_a_base_is_theirs(machine):
    base, built = f"{images.PREFIX}/container-base:1", "localhost/flowstead-mlflow:3.17.2"
    machine.update({name: {"flowstead": "base"} for name in (base, built, "dangling")})
    images.remove_all()
    assert set(machine) == {built, "dangling"}


def test_only_images_that_no_other_clone_uses_are_removed(machine, tmp_path):
    (tmp_path / "other").mkdir()
    marks(OTHER, tmp_path / "other", "debian-13:1", "debian-13:1-ca")
    marks(GONE, tmp_path / "gone", "debian-12:1")
    clones.mark("debian-13:1")
    clones.mark("debian-12:1")
    kept = {"debian-13:1", "debian-13:1-ca", f"{OTHER}:ami-1", f"{OTHER}:ami-1-ca"}
    removed = {"debian-12:1", "debian-13:1-mine", f"{GONE}:ami-1", f"{clones.short(clones.HERE)}:ami-1"}
    machine.update({f"{images.PREFIX}/{name}": {} for name in kept | removed})
    images.remove_all()
    assert {name.removeprefix(f"{images.PREFIX}/") for name in machine} == kept
    assert {path.name for path in clones.MARKS.iterdir()} == {OTHER}, "nobody else uses anything any more"


@pytest.mark.usefixtures("machine")
def test_a_clone_is_no_other_to_itself_and_one_that_is_gone_uses_nothing(tmp_path):
    (tmp_path / "here").mkdir()
    clones.mark("debian-13:1")
    marks(GONE, tmp_path / "gone", "debian-13:1")
    assert clones.others() == {}


def test_what_is_written_about_a_disk_is_read_as_it_was(monkeypatch):
    facts = {"name": 'it\'s "quoted" = $HOME\nÄ', "size": 8}
    asked = []
    monkeypatch.setattr(disks, "run", lambda *arguments, **_: asked.append(arguments) or "")
    disks.keep("container", "mine", ["ami-1", "snap-1"], facts)
    commit, tag = asked
    assert tag[-2:] == (f"{images.PREFIX}/mine:ami-1", f"{images.PREFIX}/mine:snap-1")
    label = next(part for part in commit if part.startswith("LABEL flowstead.disk="))
    name, _, value = label.removeprefix("LABEL ").partition("=")
    listed = [{"Id": "1", "Names": [commit[-1], tag[-1]], "Labels": {name: value}}]
    monkeypatch.setattr(images, "run", lambda *_, **__: json.dumps(listed))
    assert disks.kept("mine") == [disks.Disk(frozenset({"ami-1", "snap-1"}), facts)]
    assert disks.kept("other") == []


def test_a_forgotten_disk_goes_with_what_was_built_on_it(machine):
    machine.update({disks.reference("mine", name): {} for name in ("ami-1", "ami-1-ca", "ami-12", "snap-1")})
    machine["id"] = {"flowstead.disk": "e30"}
    machine["other"] = {}
    disks.forget("mine", "ami-1")
    assert set(machine) == {disks.reference("mine", name) for name in ("ami-12", "snap-1")} | {"other"}
