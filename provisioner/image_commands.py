"""What the commands of provision.py about images of one's own do: of hosts, and of a container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provisioner import bake as baking
from provisioner import code, confirmation, container_image, container_tool, meeting, playbook
from provisioner import images as own
from provisioner.config import BAKED
from provisioner.resources.ec2.instance_facts import architecture
from provisioner.session import PROJECT

if TYPE_CHECKING:
    from provisioner.session import Session


def bake(session: Session, *, extra_vars: tuple[str, ...], unless_current: bool = False) -> None:
    """Make an image with everything installed; `unless_current`: only if the newest is of other roles."""
    server = session.deployment.server
    newest = (
        own.find(session.aws).newest(server.system, architecture(server.instance_type))
        if unless_current
        else None
    )
    if newest and newest.code == code.current(PROJECT):
        text = f"Nothing to do: {newest.id}, {newest.name}, was baked with today's roles."
        session.print({"image_id": newest.id, **newest.as_data()}, [text])
        return
    hands = baking.Hands(
        play=playbook.Runner(playbook.find()).run,
        meet=lambda host, pins_path: meeting.meet_host(session, host, pins_path),
    )
    result = baking.bake(session, hands, extra_vars)
    what = f"{result.name}, {result.size_gib} GiB, MLflow {', '.join(result.releases)}"
    lines = [f"Baked: {result.image_id}, {what}. [{result.seconds:.0f} s]"]
    if not server.baked:
        wanted = f"{BAKED}{server.system}"
        lines += [
            "",
            f"To start new hosts from it, write in {session.options.config}: server.image: {wanted}",
        ]
    session.print(result.as_data(), lines)


def image(session: Session, *, push: bool) -> None:
    """Build MLflow's container image, and push it."""
    hands = container_image.Hands(playbook.Runner(playbook.find()).run, container_tool.find())
    result = container_image.make(session, hands, push=push)
    what = f"{result.image}, {result.size_mib} MiB"
    if result.digest:
        verb = "Nothing to do, it is there already" if result.was_there else "Pushed"
    else:
        verb = "Nothing to do, it is on this machine already" if result.was_there else "Built"
    lines = [f"{verb}: {what}. [{result.seconds:.0f} s]"]
    session.print(result.as_data(), lines)


def images(session: Session, *, keep: int | None, confirmed: bool) -> None:
    """List the account's own images; with `keep`, remove the others with their snapshots."""
    found = own.find(session.aws)
    if keep is None:
        listed = {
            "images": [image.as_data() for image in found.images],
            "orphans": [orphan.id for orphan in found.orphans],
        }
        session.print(listed, own.table(found, code.current(PROJECT)))
        return
    chosen = found.beyond(keep)
    ids = [*(image.id for image in chosen), *(orphan.id for orphan in found.orphans)]
    if not ids:
        session.print({"removed": ids}, [f"Nothing to remove: no system has more than {keep} images here."])
        return
    for image in chosen:
        running = f"; {', '.join(image.instances)} made from it run on" if image.instances else ""
        session.say(f"- {image.id} {image.name}, {image.size_gib:g} GiB{running}")
    for orphan in found.orphans:
        session.say(f"- {orphan.id} {orphan.name}, {orphan.size_gib:g} GiB, a snapshot that no image uses")
    if not confirmed:
        what = "it" if len(ids) == 1 else f"these {len(ids)}"
        question = f"Type yes to remove {what}:"
        confirmation.ask(session.say, "images --keep asks before it removes", question, "yes")
    own.remove(session.aws, chosen, found.orphans)
    session.print({"removed": ids}, [f"Removed: {', '.join(ids)}."])
