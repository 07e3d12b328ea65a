"""``python -m sandbox``: up, down, status, env, calls, fault, ways."""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from sandbox.api import call_log
from sandbox.control import ask
from sandbox.errors import SandboxError
from sandbox.files import CLONE, Files, names

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="A local AWS: the API on an HTTPS endpoint, real hosts and databases behind it.",
)

Name = Annotated[str, typer.Option("--name", "-n", help="The sandbox's name; several live side by side.")]

_PROGRAMS = {
    "ip": "iproute2",
    "nft": "nftables",
    "podman": "podman",
    "mmdebstrap": "mmdebstrap",
}
_START_S = 180.0


def _check_machine() -> None:
    """Say everything that this machine lacks."""
    if platform.system() != "Linux":
        raise SandboxError(
            f"the local AWS runs on Linux only, and this is {platform.system()}",
            next_step="provision.py against real AWS needs none of it",
        )
    if os.geteuid() != 0:
        raise SandboxError(
            "the local AWS needs root: it makes networks and boots hosts",
            next_step="run it as root; provision.py against real AWS needs neither root nor this",
        )
    missing = {program: package for program, package in _PROGRAMS.items() if shutil.which(program) is None}
    if not (shutil.which("runc") or shutil.which("crun")):
        missing["runc"] = "runc"
    if missing:
        raise SandboxError(
            f"missing: {', '.join(missing)}",
            next_step=f"apt-get install {' '.join(sorted(set(missing.values())))}",
        )


def _facts(files: Files) -> dict[str, Any]:
    facts = files.read_daemon()
    if facts is None:
        raise SandboxError(
            f"no sandbox {files.name!r} is up", next_step=f"python -m sandbox up --name {files.name}"
        )
    return facts


def _start(files: Files) -> None:
    """Start the daemon and wait until it serves."""
    from sandbox.real.site import Site  # noqa: PLC0415 - the shell's quick commands do without

    Site.clear(files.name, files.clone)
    files.forget()
    files.directory.mkdir(parents=True)
    files.root.chmod(0o700)
    with files.log.open("ab") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "sandbox.daemon", files.name],
            cwd=CLONE,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_S
    while files.read_daemon() is None:
        if daemon.poll() is not None:
            raise SandboxError(
                files.read_failure() or f"the daemon ended with status {daemon.returncode}",
                next_step=f"its log is {files.log}",
            )
        if time.monotonic() > deadline:
            daemon.kill()
            raise SandboxError(
                f"the daemon did not start within {_START_S:.0f} s", next_step=f"see {files.log}"
            )
        time.sleep(0.05)


def _clone_in(directory: Path) -> str:
    """Return the short name of the clone in a directory."""
    if not (directory / "sandbox" / "real").is_dir():
        raise SandboxError(
            f"{directory} is not a clone of this project", next_step="name a directory that holds sandbox/"
        )
    return Files("demo", directory.resolve() / ".sandbox").clone


@app.command()
def up(
    name: Name = "demo",
    image: Annotated[
        list[str] | None, typer.Option("--image", help="Build this image now; more than once for several.")
    ] = None,
    images_from: Annotated[
        list[Path] | None,
        typer.Option("--images-from", help="Also take over the AMIs of the clone in this directory."),
    ] = None,
    slow: Annotated[
        bool, typer.Option("--as-slow-as-aws", help="Lists, secrets, roles, storage and consoles lag.")
    ] = False,
    free_plan: Annotated[
        bool, typer.Option("--free-plan", help="The account is one of AWS's free plan.")
    ] = False,
) -> None:
    """Start a sandbox, or find it running; then `env` prints the environment to use."""
    _check_machine()
    files = Files(name)
    clones = [files.clone, *(_clone_in(directory) for directory in images_from or ())]
    if files.read_daemon() is None:
        typer.echo(f"starting sandbox {name}", err=True)
        _start(files)
    else:
        typer.echo(f"sandbox {name} is up", err=True)
    facts = _facts(files)
    if slow or free_plan:
        ask(files.socket, {"do": "ways", "slow": slow, "set": {"free-plan": 1} if free_plan else {}})
    ask(files.socket, {"do": "take-images", "clones": clones})
    if image:
        from sandbox.real import images  # noqa: PLC0415 - the shell's quick commands do without

        for kind in image:
            if kind not in images.kinds():
                raise SandboxError(f"no image {kind!r}", next_step=f"there are {', '.join(images.kinds())}")
            images.ensure(kind, lambda line: typer.echo(line, err=True), ca=Path(facts["ca"]))
    typer.echo(f"endpoint {facts['endpoint']}", err=True)
    typer.echo(f'use it in this shell: eval "$(python -m sandbox env --name {name})"', err=True)


@app.command()
def down(
    name: Name = "demo",
    every: Annotated[bool, typer.Option("--all", help="Every sandbox of this clone.")] = False,
    purge: Annotated[bool, typer.Option("--purge", help="This clone's images, too.")] = False,
) -> None:
    """Stop a sandbox and remove everything it made."""
    _check_machine()
    from sandbox.real import images  # noqa: PLC0415 - the shell's quick commands do without
    from sandbox.real.site import Site  # noqa: PLC0415

    for one in names() if every else [name]:
        files = Files(one)
        known = files.stop_daemon() or files.directory.exists()
        Site.clear(files.name, files.clone)
        files.forget()
        gone = f"sandbox {one} is gone, with everything in it"
        typer.echo(gone if known else f"no sandbox {one} was up", err=True)
    if purge:
        images.remove_all()
        shutil.rmtree(CLONE / ".sandbox", ignore_errors=True)
        typer.echo("images are gone, except those that another clone uses", err=True)


@app.command()
def status(
    name: Name = "demo",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what runs."""
    facts = _facts(Files(name))
    answer = ask(Files(name).socket, {"do": "status"})
    shown = {"name": name, "endpoint": facts["endpoint"], "pid": facts["pid"], **answer}
    if as_json:
        typer.echo(json.dumps(shown, indent=2))
        return
    typer.echo(f"sandbox {name}: {facts['endpoint']} (process {facts['pid']})")
    for kind in ("networks", "instances", "databases"):
        for item in shown[kind]:
            typer.echo(f"  {kind[:-1]}  " + "  ".join(str(value) for value in item.values() if value))


@app.command()
def env(name: Name = "demo") -> None:
    """Print the export lines that point a shell at the sandbox."""
    facts = _facts(Files(name))
    variables = {
        "AWS_ENDPOINT_URL": facts["endpoint"],
        "AWS_ACCESS_KEY_ID": facts["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": facts["secret_access_key"],
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CA_BUNDLE": facts["ca"],
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        "FLOWSTEAD_ADDRESS_URL": facts["address_url"],
        "FLOWSTEAD_DATABASE_CA_URL": facts["database_ca_url"],
        "FLOWSTEAD_SANDBOX": name,
    }
    typer.echo("unset AWS_PROFILE AWS_SESSION_TOKEN")
    for variable, value in variables.items():
        typer.echo(f"export {variable}={shlex.quote(str(value))}")


@app.command()
def calls(
    name: Name = "demo",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with every field.")] = False,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="List the parameters that no schema knows.")
    ] = False,
) -> None:
    """List every AWS call so far, in order."""
    files = Files(name)
    if not Path(files.calls).exists():
        _facts(files)
    entries = call_log.read(files.calls)
    if as_json:
        typer.echo(json.dumps([vars(entry) for entry in entries], indent=1))
        return
    if unchecked:
        for line in call_log.describe_coverage(entries):
            typer.echo(line)
        return
    for entry in entries:
        who = f"{entry.number:5} {entry.principal:28}"
        typer.echo(f"{who} {entry.service:16} {entry.action:36} {entry.status} {entry.error}".rstrip())


@app.command()
def fault(  # noqa: PLR0917 - typer calls it by name
    pattern: Annotated[str, typer.Argument(help="Which calls: service:action, with * and ?")],
    name: Name = "demo",
    code: Annotated[str, typer.Option(help="The error code AWS would give.")] = "",
    status_code: Annotated[int, typer.Option("--status", help="The HTTP status.")] = 400,
    times: Annotated[int, typer.Option(help="How many calls.")] = 1,
    skip: Annotated[int, typer.Option(help="How many matching calls pass first.")] = 0,
    delay_s: Annotated[float, typer.Option("--delay", help="Seconds to wait first.")] = 0.0,
    drop: Annotated[bool, typer.Option("--drop", help="Close the connection instead.")] = False,
    after: Annotated[bool, typer.Option("--after", help="Do the call, lose its answer.")] = False,
) -> None:
    """Let the next matching calls fail (for tests)."""
    service, _, action = pattern.partition(":")
    request = {
        "do": "fault",
        "service": service,
        "action": action or "*",
        "code": code,
        "status": status_code,
        "times": times,
        "skip": skip,
        "delay_s": delay_s,
        "drop": drop,
        "after": after,
    }
    _facts(Files(name))
    typer.echo(json.dumps(ask(Files(name).socket, request)))


@app.command()
def night(name: Name = "demo") -> None:
    """Let a night pass for the policies that take snapshots (for tests)."""
    _facts(Files(name))
    for what, snapshots in ask(Files(name).socket, {"do": "night"}).items():
        typer.echo(f"{what}: {', '.join(snapshots) or 'none'}")


@app.command("ways")
def change_ways(
    changes: Annotated[list[str] | None, typer.Argument(help="What to change: NAME=NUMBER")] = None,
    name: Name = "demo",
) -> None:
    """Show what the account is slow at, after changing it if told to (for tests)."""
    numbers = {}
    for change in changes or ():
        way, _, number = change.partition("=")
        try:
            numbers[way] = float(number)
        except ValueError as error:
            raise SandboxError(f"{change!r} is not NAME=NUMBER", next_step="as in lists=5") from error
    _facts(Files(name))
    for item in ask(Files(name).socket, {"do": "ways", "set": numbers})["ways"]:
        typer.echo(f"{item['name']:20} {item['number']:>8g}   {item['what']} (AWS: {item['slow']:g})")


def main() -> None:
    """Run the command; a known failure is one sentence and status 1."""
    try:
        app()
    except SandboxError as error:
        typer.echo(f"sandbox: {error}", err=True)
        if error.next_step:
            typer.echo(f"  next: {error.next_step}", err=True)
        raise SystemExit(1) from error
