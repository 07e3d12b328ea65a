"""Tasks about MLflow's users: fab user.add, user.remove, user.list, user.password, user.grant, user.bring."""

import getpass
import sys
from dataclasses import dataclass
from typing import Any

from fabric import task
from invoke.collection import Collection

from day_two import tracking
from day_two.api import AnswerError, answers, call
from day_two.bring_users import bring_users, made_up
from day_two.sentences import sentences
from provisioner.errors import FlowsteadError, UsageError


@task(name="add", help={"name": "The new user's."})
def add_user(_context: Any, name: str, project: str = "", inventory: str = "inventory") -> None:
    """Make a user; asks for the password, or reads it from a pipe; makes one up if there is none."""
    with sentences(), answers():
        if name.startswith("-"):
            raise UsageError(f"{name} cannot be the name of a user.", next_step="Help: fab --help user.add")
        server, chosen = tracking.find(inventory, project), _new_password()
        call(server, "2.0/mlflow/users/create", "POST", username=name, password=chosen.value)
        print(f"{name} is a user.{chosen.shown}")


@task(name="remove")
def remove_user(_context: Any, name: str, project: str = "", inventory: str = "inventory") -> None:
    """Remove a user; what they logged stays."""
    with sentences(), answers():
        call(tracking.find(inventory, project), "2.0/mlflow/users/delete", "DELETE", username=name)
        print(f"{name} is no longer a user.")


@task(name="list")
def list_users(_context: Any, project: str = "", inventory: str = "inventory") -> None:
    """List the users."""
    with sentences(), answers():
        for user in call(tracking.find(inventory, project), "2.0/mlflow/users/list")["users"]:
            print(f"{user['username']}  (administrator)" if user["is_admin"] else user["username"])


@task(name="password")
def change_password(_context: Any, name: str, project: str = "", inventory: str = "inventory") -> None:
    """Give a user another password; asks for it, or reads it from a pipe."""
    with sentences(), answers():
        server = tracking.find(inventory, project)
        if name == server.project.admin.username:
            raise FlowsteadError(
                "The admin's password is in Secrets Manager too.",
                next_step="docs/look_after_it.md says how to change both.",
            )
        chosen, path = _new_password(), "2.0/mlflow/users/update-password"
        call(server, path, "PATCH", username=name, password=chosen.value)
        print(f"{name} has another password.{chosen.shown}")


@task(
    name="grant",
    help={
        "permission": "READ, USE, EDIT, MANAGE or DENY.",
        "experiment": "An experiment's name.",
        "model": "A model's.",
    },
)
def grant(
    _context: Any,
    name: str,
    permission: str,
    *,
    experiment: str = "",
    model: str = "",
    project: str = "",
    inventory: str = "inventory",
) -> None:
    """Say what a user may do with an experiment or a registered model."""
    with sentences(), answers():
        if bool(experiment) == bool(model):
            raise UsageError(
                "Say one experiment or one model.",
                next_step="fab user.grant USER READ|USE|EDIT|MANAGE|DENY --experiment NAME (or --model NAME)",
            )
        server = tracking.find(inventory, project)
        what = {"username": name, "resource_type": "registered_model", "resource_id": model}
        if experiment:
            asked = call(server, "2.0/mlflow/experiments/get-by-name", experiment_name=experiment)
            found = asked["experiment"]["experiment_id"]
            what |= {"resource_type": "experiment", "resource_id": found}
        try:
            call(server, "3.0/mlflow/users/permissions/grant", "POST", permission=permission, **what)
        except AnswerError as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise
            call(server, "3.0/mlflow/users/permissions/revoke", "POST", **what)
            call(server, "3.0/mlflow/users/permissions/grant", "POST", permission=permission, **what)
        print(f"{name} has {permission} on {experiment or model}.")


@dataclass(frozen=True)
class Password:
    """A user's new password.

    Args:
        value: itself.
        is_made_up: nobody but this program has it yet.

    """

    value: str
    is_made_up: bool

    @property
    def shown(self) -> str:
        """What the caller must be told."""
        return f" Password: {self.value}" if self.is_made_up else ""


def _new_password() -> Password:
    """Ask for a password at the terminal, or take the first line of what is piped in; else make one up."""
    if sys.stdin.isatty():
        chosen = getpass.getpass("Password (press Return to have one made up): ")
        if chosen and getpass.getpass("Once more: ") != chosen:
            raise FlowsteadError("These are two passwords; nothing was changed.")
    else:
        chosen = sys.stdin.readline().rstrip("\n")
    return Password(chosen or made_up(), is_made_up=not chosen)


users = Collection("user", add_user, remove_user, list_users, change_password, grant, bring_users)
