"""Ask MLflow which version an alias names. Managed by Ansible.

The role also runs this file by itself on a host that has nothing of it yet, to refuse models and aliases that
are not there before anything is changed: it imports nothing of its neighbours.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from http import HTTPStatus
from pathlib import Path
from typing import Any

API = "/api/2.0/mlflow/registered-models"
# MLflow's answers to a name that it does not have (mlflow/store/model_registry/sqlalchemy_store.py).
ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}
WHERE = "mlflow_models in inventory/group_vars/tracking_servers.yml"


class AbsentError(Exception):
    """There is no such model, or alias; as a sentence."""


class AwayError(Exception):
    """MLflow does not answer, or not as it should; as a sentence."""


class Registry:
    """The registry of the release that serves on this host.

    Args:
        config_dir: where serving.json says which release serves, and on which port.
        secrets_file: where the administrator's password is.
        secrets_unit: what writes that file anew.
        admin: the administrator's name.
    """

    def __init__(self, config_dir: str, secrets_file: str, secrets_unit: str, admin: str) -> None:
        self._secrets_file, self._secrets_unit, self.admin = Path(secrets_file), secrets_unit, admin
        try:
            self.serving = json.loads((Path(config_dir) / "serving.json").read_text())
        except FileNotFoundError:
            raise AwayError("MLflow does not serve yet") from None
        self.url = f"http://127.0.0.1:{self.serving['port']}"

    def password(self) -> str:
        """Return the administrator's password.

        Raises:
            AwayError: the file with it is not there.
        """
        try:
            text = self._secrets_file.read_text()
        except OSError as error:
            raise AwayError(f"{self._secrets_file} cannot be read ({error.strerror})") from error
        found = re.search(r"^MLFLOW_AUTH_ADMIN_PASSWORD=(.*)$", text, re.MULTILINE)
        value = found[1] if found else ""
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = re.sub(r"\\(.)", r"\1", value[1:-1])
        return value

    def ask(self, path: str, **values: str) -> tuple[int, dict[str, Any]]:
        """Ask MLflow's API.

        Returns:
            HTTP's status, and the answer.

        Raises:
            AwayError: it does not answer as MLflow does.
        """
        url = f"{self.url}{path}?{urllib.parse.urlencode(values)}"
        login = base64.b64encode(f"{self.admin}:{self.password()}".encode()).decode()
        request = urllib.request.Request(url, headers={"Authorization": f"Basic {login}"})  # noqa: S310 - http
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - http
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            try:
                return error.code, json.loads(error.read())
            except ValueError:
                return error.code, {}
        except (OSError, ValueError) as error:
            raise AwayError(f"MLflow does not answer at {self.url} ({error})") from error

    def asked(self, path: str, **values: str) -> dict[str, Any] | None:
        """Ask, with the newest password there is; None where MLflow does not have what is asked for.

        Raises:
            AwayError: it does not answer as MLflow does.
        """
        status, answer = self.ask(path, **values)
        if status == HTTPStatus.UNAUTHORIZED:
            # Somebody may have changed it in MLflow and in Secrets Manager since it was fetched.
            subprocess.run(["systemctl", "start", self._secrets_unit], check=False)
            status, answer = self.ask(path, **values)
        if status == HTTPStatus.OK:
            return answer
        if answer.get("error_code") in ABSENT:
            return None
        raise AwayError(f"MLflow answered {status} to {self.admin}: {answer.get('message', '')[:200]}")

    def version(self, model: str, alias: str) -> str:
        """Return the version that an alias of a model names.

        Raises:
            AbsentError: there is no such model or alias.
            AwayError: MLflow does not answer as it should.
        """
        answer = self.asked(f"{API}/alias", name=model, alias=alias)
        if answer is not None:
            return str(answer["model_version"]["version"])
        registered = self.asked(f"{API}/get", name=model)
        if registered is None:
            raise AbsentError(f"MLflow has no registered model {model}: register it, or correct {WHERE}.")
        others = ", ".join(one["alias"] for one in registered["registered_model"].get("aliases", []))
        raise AbsentError(
            f"No version of {model} has the alias {alias} (aliases it has: {others or 'none'}): give it to "
            f"one (fab promote, or MLflow's page of the model), or correct {WHERE}."
        )


def absence(registry: Registry, model: str, alias: str) -> list[str]:
    """Say that a model or its alias is not there, if so."""
    try:
        registry.version(model, alias)
    except AbsentError as error:
        return [str(error)]
    return []


def main() -> None:
    """Say what of a list is not there; nothing can be said while MLflow is away."""
    told = json.loads(sys.argv[1])
    absent: list[str] = []
    try:
        registry = Registry(*(told[name] for name in ("config_dir", "secrets_file", "secrets_unit", "admin")))
        absent = [said for one in told["models"] for said in absence(registry, one["name"], one["alias"])]
    except AwayError:
        pass
    if absent:
        raise SystemExit("\n".join(absent))


if __name__ == "__main__":
    main()
