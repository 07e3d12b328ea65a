"""The command line of provision.py."""

from __future__ import annotations

import dataclasses
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from provisioner.errors import FlowsteadError
from provisioner.session import PROJECT, Options, Session, shorten

app = typer.Typer(
    name="provision.py",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_INTERRUPTED = 130
_MODULES = {**dict.fromkeys(("bake", "image", "images"), "image_commands"), "move": "move_command"}
"""Where commands are that are not in `commands`; imported when they are run: `--help` needs none of it."""

ConfigOption = Annotated[
    Path | None, typer.Option("--config", metavar="PATH", help="The deployment's file. [deployment.yml]")
]
InventoryOption = Annotated[
    Path | None,
    typer.Option("--inventory", metavar="PATH", help="Directory of the inventory to write. [inventory]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print data as JSON.")]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
ProjectOption = Annotated[
    str, typer.Option("--project", metavar="NAME", help="Another project than the default one.")
]

ExtraVarsOption = Annotated[
    list[str] | None,
    typer.Option("-e", "--extra-vars", metavar="TEXT", help="Handed to ansible-playbook; repeatable."),
]
RemoveOption = Annotated[
    list[str] | None,
    typer.Option(
        "--remove",
        metavar="ID",
        help="Also remove this, which holds data and is no longer wanted; plan names it. Repeatable.",
    ),
]


@app.callback(invoke_without_command=True)
def bare(
    context: typer.Context,
    *,
    config: ConfigOption = None,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
    remove: RemoveOption = None,
    accept_new_host_key: Annotated[
        bool,
        typer.Option(
            "--accept-new-host-key",
            help="Trust the SSH key that a new host shows, without waiting for its console.",
        ),
    ] = False,
) -> None:
    """Make on AWS what deployment.yml says, and write the inventory that Ansible reads.

    Without a command: plan, apply, write the inventory, and say what to run next. Running it again repairs
    what drifted and otherwise does nothing. Uses your ordinary AWS configuration (profile, environment, SSO).
    """
    context.obj = Options(
        config=config or shorten(PROJECT / "deployment.yml"),
        inventory=inventory or shorten(PROJECT / "inventory"),
        as_json=as_json,
        debug=debug,
        accept_new_host_key=accept_new_host_key,
    )
    if context.invoked_subcommand is None:
        _run(context.obj, "apply", remove=frozenset(remove or ()))
    elif remove:
        raise typer.BadParameter("write it after the command", param_hint="--remove")


@app.command()
def destroy(
    context: typer.Context,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for the deployment's name.")] = False,
    delete_data: Annotated[
        bool,
        typer.Option(
            "--delete-data", help="Delete the artifact bucket and the image repository with all in them, too."
        ),
    ] = False,
    remove: RemoveOption = None,
    config: ConfigOption = None,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Remove the deployment; the database leaves a snapshot, and the bucket stays unless told otherwise."""
    options = _merged(context, config, inventory, as_json=as_json, debug=debug)
    named = frozenset(remove or ())
    _run(options, "destroy", confirmed=yes, delete_data=delete_data, remove=named)


@app.command()
def bake(
    context: typer.Context,
    *,
    extra_vars: ExtraVarsOption = None,
    unless_current: Annotated[
        bool,
        typer.Option("--unless-current", help="Do nothing if the newest image was baked with today's roles."),
    ] = False,
    config: ConfigOption = None,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Make an image of server.image's system with everything installed, on a temporary host of its own."""
    options = _merged(context, config, inventory, as_json=as_json, debug=debug)
    _run(options, "bake", extra_vars=tuple(extra_vars or ()), unless_current=unless_current)


@app.command()
def move(
    context: typer.Context,
    *,
    to: Annotated[
        str, typer.Option("--to", metavar="ENGINE", help="Only if deployment.yml asks for this engine.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before it begins.")] = False,
    extra_vars: ExtraVarsOption = None,
    config: ConfigOption = None,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Move runs, models and users into the database.engine that deployment.yml asks for now."""
    options = _merged(context, config, inventory, as_json=as_json, debug=debug)
    _run(options, "move", to=to, confirmed=yes, extra_vars=tuple(extra_vars or ()))


@app.command()
def image(
    context: typer.Context,
    *,
    no_push: Annotated[
        bool, typer.Option("--no-push", help="Build it on this machine only; AWS is not asked.")
    ] = False,
    config: ConfigOption = None,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Build MLflow's container image with podman or docker, and push it to the repository of images."""
    _run(_merged(context, config, inventory, as_json=as_json, debug=debug), "image", push=not no_push)


@app.command()
def images(
    context: typer.Context,
    *,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep", metavar="N", min=0, help="Remove all but the newest N of each system and processor."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before removing.")] = False,
    config: ConfigOption = None,
    inventory: InventoryOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the hosts' images that were baked in this account and region, and remove old ones."""
    options = _merged(context, config, inventory, as_json=as_json, debug=debug)
    _run(options, "images", keep=keep, confirmed=yes)


def _add(name: str, text: str) -> None:
    """Add a command that takes the common options only, before or after its name."""

    def run(
        context: typer.Context,
        config: ConfigOption = None,
        inventory: InventoryOption = None,
        as_json: JsonOption = False,
        debug: DebugOption = False,
    ) -> None:
        _run(_merged(context, config, inventory, as_json=as_json, debug=debug), name)

    app.command(name, help=text)(run)


def _add_removing(name: str, text: str) -> None:
    """Add a command that takes the names of what goes with its data, too."""

    def run(
        context: typer.Context,
        *,
        remove: RemoveOption = None,
        config: ConfigOption = None,
        inventory: InventoryOption = None,
        as_json: JsonOption = False,
        debug: DebugOption = False,
    ) -> None:
        options = _merged(context, config, inventory, as_json=as_json, debug=debug)
        _run(options, name, remove=frozenset(remove or ()))

    app.command(name, help=text)(run)


def _add_of_project(name: str, text: str) -> None:
    """Add a command about one project."""

    def run(
        context: typer.Context,
        *,
        project: ProjectOption = "",
        config: ConfigOption = None,
        inventory: InventoryOption = None,
        as_json: JsonOption = False,
        debug: DebugOption = False,
    ) -> None:
        options = _merged(context, config, inventory, as_json=as_json, debug=debug)
        _run(options, name, project=project)

    app.command(name, help=text)(run)


_add_removing("plan", "Show what would be done, and change nothing. Exits with 3 if something would be done.")
_add_removing("apply", "Do it; the same as no command.")
_add("status", "Compare the account with deployment.yml, resource by resource. Exits with 3 if they differ.")
_add(
    "inventory",
    "Write the files for Ansible and clients; changes nothing in AWS.",
)
_add("outputs", "Print endpoints, names and ARNs; nothing secret.")
_add_of_project("client", 'Print what an MLflow client needs: eval "$(python provision.py client)".')
_add_of_project("password", "Print the admin's password.")


def main() -> int:
    """Run the command line.

    Returns:
        0 done, 1 failed, 2 wrong usage or configuration, 3 drifted (plan and status), 130 interrupted.

    """
    try:
        app()
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 0
    return 0


def _run(options: Options, name: str, **arguments: object) -> None:
    """Run a command; whatever goes wrong becomes a sentence and an exit code."""
    try:
        module = importlib.import_module(f"provisioner.{_MODULES.get(name, 'commands')}")
        command: Callable[..., int | None] = getattr(module, name)
        status = command(Session(options), **arguments)
    except FlowsteadError as error:
        _end(options, error.message, error.exit_code, error.next_step)
    except KeyboardInterrupt as interrupt:
        text = str(interrupt) or "Stopped. Run the same command again: it goes on from here."
        _end(options, text, _INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone; nothing can be said to it, not even by Python at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except Exception as error:  # noqa: BLE001 - a traceback is for --debug only
        text = f"A defect of Flowstead: {type(error).__name__}: {error}."
        _end(options, f"{text} Run it with --debug and report what that shows.", 1)
    if status:
        raise typer.Exit(status)


def _end(options: Options, text: str, code: int, next_step: str = "") -> NoReturn:
    if options.debug:
        traceback.print_exc()
    print(f"error: {text}", file=sys.stderr)
    if next_step:
        print(f"  next: {next_step}", file=sys.stderr)
    raise typer.Exit(code) from None


def _merged(
    context: typer.Context, config: Path | None, inventory: Path | None, *, as_json: bool, debug: bool
) -> Options:
    options: Options = context.obj
    return dataclasses.replace(
        options,
        config=config or options.config,
        inventory=inventory or options.inventory,
        as_json=as_json or options.as_json,
        debug=debug or options.debug,
    )
