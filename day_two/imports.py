"""Bring runs, models and artifacts of another server of MLflow into a project: fab import."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from fabric import task

from day_two import tracking
from day_two.api import answers, call
from day_two.gathered import PASSWORD, Gathered, gather
from day_two.import_files import Artifact, keep, list_files, send
from day_two.sentences import sentences
from day_two.tracking import TrackingServer
from provisioner import confirmation
from provisioner.aws import Aws
from provisioner.errors import FlowsteadError, UsageError
from provisioner.playbook import Runner, find
from provisioner.session import PROJECT

GUIDE = "docs/import_your_data.md"
# What the host's own checks leave there.
CHECKS = "Flowstead checks"
# Measured on two cores: 1,370,000 rows were copied and compared in 55 s; the rest of a restore took 8 s.
ROWS_PER_S, START_S = 25_000, 8
# Rows of these tables are what people ask for.
SHOWN = ("experiments", "runs", "metrics", "registered_models", "model_versions", "trace_info")


@task(
    name="import",
    help={
        "source": "sqlite:///PATH, postgresql://… or mysql://…, or a folder with mlruns in it.",
        "artifacts": "Where its artifacts are: a folder, or s3://BUCKET/PREFIX.",
        "artifacts-were": "What their addresses begin with, if they were elsewhere then.",
        "yes": "Do not ask before it begins.",
        "leave-elsewhere": "Go on although some artifacts are not below that place; they are not brought.",
    },
)
def import_data(  # noqa: PLR0917 - a task's options
    _context: Any,
    source: str,
    artifacts: str,
    artifacts_were: str = "",
    project: str = "",
    yes: bool = False,
    leave_elsewhere: bool = False,
    inventory: str = "inventory",
) -> None:
    """Bring runs, models and artifacts of another MLflow server, or of a folder mlruns, into a project."""
    with sentences(), answers():
        server = tracking.find(inventory, project)
        source, artifacts = checked_source(source), checked_artifacts(artifacts)
        were = artifacts_were.removeprefix("file://") or artifacts
        refuse_used(server)
        with server.connect() as connection:
            version = server.serving(connection)
        with tempfile.TemporaryDirectory() as folder:
            gathered = gather(version, source, were, Path(folder) / "gathered.db")
            aws = Aws(server.outputs.region)
            files = list(list_files(aws, artifacts, gathered.folders))
            announce(server, gathered, files, leave_elsewhere=leave_elsewhere)
            if not yes:
                confirmation.ask(
                    print, "import asks before it begins", "Type yes to go on:", "yes", "changed"
                )
            sent = send(aws, server, files)
            print(f"Artifacts: {len(files)} files are in the bucket, {sent} of them sent now.")
            name = keep(aws, server, version, gathered)
        restore(server, name, project, inventory)
        print(f"Imported into {server.url}: {told(gathered.rows)}.")


def checked_source(source: str) -> str:
    """Check what the data are read from; a password is not for everybody's eyes.

    Raises:
        UsageError: it has one, or is not there.

    """
    if "://" not in source:
        if not Path(source).is_dir():
            raise UsageError(f"--source {source}: there is no such folder, and it is no URL of a database.")
        return str(Path(source).resolve())
    # As SQLAlchemy reads it: a password may have a slash, and may be a parameter.
    if re.match(r"[^/]+://[^/:@]*:[^@]*@|.*[?&](password|passwd)=", source):
        raise UsageError(
            "--source: a password in it can be read by others on this machine.",
            next_step=f"Leave it out, and put it into the environment variable {PASSWORD}.",
        )
    kind = source.partition("://")[0].partition("+")[0]
    if kind not in ("sqlite", "postgresql", "postgres", "mysql"):
        raise UsageError(f"--source {source}: it must be sqlite, postgresql or mysql, not {kind}.")
    if kind == "sqlite" and not Path(source.removeprefix("sqlite:///")).is_file():
        raise UsageError(
            f"--source {source}: there is no such file; of an absolute path write sqlite:////PATH."
        )
    return source


def checked_artifacts(artifacts: str) -> str:
    """Check where artifacts are read from.

    Raises:
        UsageError: it is not there.

    """
    if artifacts.startswith("s3://"):
        return artifacts.rstrip("/")
    path = Path(artifacts.removeprefix("file://"))
    if not path.is_dir():
        raise UsageError(f"--artifacts {artifacts}: there is no such folder.")
    return str(path.resolve())


def refuse_used(server: TrackingServer) -> None:
    """See that nobody has logged anything there, which would give way. The host looks again, in the end.

    Raises:
        UsageError: somebody has.

    """
    experiments = call(
        server, "2.0/mlflow/experiments/search", "POST", max_results="1000", view_type="ALL"
    ).get("experiments", [])
    mine = [one["name"] for one in experiments if one["name"] not in ("Default", CHECKS)]
    models = call(server, "2.0/mlflow/registered-models/search").get("registered_models", [])
    if mine or models:
        named = ", ".join([*mine, *(one["name"] for one in models)][:5])
        raise UsageError(
            f"{server.url} has experiments or models of its own ({named}): an import would take their place.",
            next_step=f"Import into a project of its own: {GUIDE}",
        )


def announce(
    server: TrackingServer, gathered: Gathered, files: list[Artifact], *, leave_elsewhere: bool
) -> None:
    """Say how much it is, and what is not brought.

    Raises:
        UsageError: artifacts are elsewhere, and that was not allowed for.

    """
    size = sum(file.size for file in files)
    print(f"To be imported into {server.url}: {told(gathered.rows)};")
    print(f"  {len(files)} files of artifacts, {size / 2**20:.1f} MiB.")
    seconds = round(sum(gathered.rows.values()) / ROWS_PER_S) + START_S
    print(f"  The host needs about {seconds} s for the rows; it serves but for some seconds of them.")
    print("  How long the files take is up to your line.")
    if gathered.renumbered:
        pairs = ", ".join(f"{old} is {new}" for old, new in gathered.renumbered.items())
        print(f"Experiments get other numbers, as databases have no place for such long ones: {pairs}.")
    print("Users and permissions are not brought by this: fab user.bring does it afterwards.")
    if gathered.left_out:
        counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in gathered.left_out.items())
        print(f"Nor are these, which are of use to the other server alone: {counts}.")
    if gathered.elsewhere:
        shown = "\n".join(f"  {one}" for one in gathered.elsewhere[:20])
        text = f"{len(gathered.elsewhere)} addresses of artifacts are not below --artifacts:\n{shown}"
        if not leave_elsewhere:
            raise UsageError(
                f"{text}\nNothing has been changed.",
                next_step="Give the folder that has all, or add --leave-elsewhere: they stay as they are.",
            )
        print(text)


def told(rows: dict[str, int]) -> str:
    """Say how much there is of what people ask for."""
    return ", ".join(
        f"{rows[name]} {name.replace('_', ' ').replace('trace info', 'traces')}" for name in SHOWN
    )


def restore(server: TrackingServer, name: str, project: str, inventory: str) -> None:
    """Have the host put the rows in the place of its own, which are none.

    Raises:
        FlowsteadError: it did not.

    """
    words = [str(PROJECT / "playbooks" / "restore_backup.yml"), "-e", f"mlflow_data_backup={name}"]
    words += ["-e", f"project={project}"] if project else []
    if inventory != "inventory":
        words = ["-i", str(server.directory), *words]
    if status := Runner(find()).run(words):
        raise FlowsteadError(
            f"The host did not take it (status {status}): above is why. Its data are as they were.",
            next_step=f"Once that is mended: ansible-playbook {' '.join(words)}",
        )
