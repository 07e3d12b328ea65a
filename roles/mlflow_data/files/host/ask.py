#!/usr/bin/env python3
"""Wait until an MLflow release answers, then ask it real questions through its API. Managed by Ansible.

The administrator's password is read from the file with the server's secrets and never printed. When it is
refused, it is fetched from Secrets Manager once more: somebody may have changed it there and in MLflow since
the server started.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import json
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Any

from flowstead_host.errors import ChangeError
from flowstead_host.files import SECRETS_UNIT, administrator_password
from flowstead_host.programs import command

# A unit that systemd had to start this often while we waited does not come up.
RESTARTS_OF_A_FAILURE = 3
# Needs a login and the database, and is there in every MLflow.
FIRST_EXPERIMENT = "/api/2.0/mlflow/experiments/get?experiment_id=0"


def restarts(unit: str) -> int:
    """Return how often systemd has started the unit again by itself."""
    argv = ["systemctl", "show", "--property=NRestarts", "--value", unit]
    return int(subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout or 0)


class GatewayConnection(http.client.HTTPSConnection):
    """HTTPS to this host's own gateway, whose certificate must be good for the name that clients use."""

    def __init__(self, host: str, *, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(host, context=context, **options)
        self.context = context

    def connect(self) -> None:
        """Connect here, whatever the name's public address is: a host may not be able to reach that."""
        plain = socket.create_connection(("127.0.0.1", self.port), self.timeout)
        self.sock = self.context.wrap_socket(plain, server_hostname=self.host)


class GatewayHandler(urllib.request.HTTPSHandler):
    """Opens https addresses at this host's own gateway."""

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self.context = context

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        """Open one request."""
        connection: Any = GatewayConnection
        return self.do_open(connection, req, context=self.context)


class Release:
    """A release on a port of this host, or whichever one is behind its gateway."""

    def __init__(self, base: str, username: str, password: str, ca_file: str | None = None) -> None:
        self.base = base
        context = ssl.create_default_context(cafile=ca_file)
        self.opener = urllib.request.build_opener(GatewayHandler(context=context))
        login = base64.b64encode(f"{username}:{password}".encode()).decode()
        self.login = {"Authorization": f"Basic {login}"}

    def ask(self, path: str, body: dict[str, Any] | None = None, *, login: bool = True) -> tuple[int, str]:
        """Return the status and the text of one request; status 0 when nothing listens."""
        headers = dict(self.login if login else {})
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, headers=headers)  # noqa: S310 - http here, or https
        try:
            with self.opener.open(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(errors="replace")
        except OSError as error:
            if isinstance(getattr(error, "reason", error), ssl.SSLError):
                raise SystemExit(f"{self.base} has no good certificate: {error}") from error
            return 0, str(error)


def wait(release: Release, unit: str, timeout_s: float) -> None:
    """Return when the release answers at all; leave with a message when it does not."""
    deadline = time.monotonic() + timeout_s
    before = restarts(unit)
    while True:
        status, text = release.ask("/health", login=False)
        if status == HTTPStatus.OK:
            return
        if restarts(unit) - before >= RESTARTS_OF_A_FAILURE:
            raise SystemExit(f"{unit} ends by itself again and again instead of answering")
        if time.monotonic() > deadline:
            last = f"{status} {text[:200]}"
            raise SystemExit(f"{unit} did not answer within {timeout_s} s (last: {last})")
        time.sleep(0.2)


def log_in(arguments: argparse.Namespace, base: str) -> Release:
    """Return the release with a login that it takes, once it answers at all."""
    for fetch_first in (False, True):
        if fetch_first:
            command("systemctl", "start", SECRETS_UNIT, what="The server's secrets could not be fetched")
        password = administrator_password(arguments.secrets)
        release = Release(base, arguments.username, password, arguments.ca_file or None)
        wait(release, arguments.unit, arguments.timeout_s)
        if release.ask(FIRST_EXPERIMENT)[0] != HTTPStatus.UNAUTHORIZED:
            return release
    raise SystemExit(
        f"the login of {arguments.username} was refused: the password in Secrets Manager is not "
        "the one in use. Put the present one into the secret and run site.yml again"
    )


def main() -> None:
    """Ask, and say what was asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unit", required=True)
    parser.add_argument("--port", required=True, type=int)
    parser.add_argument("--version", required=True)
    parser.add_argument("--username", required=True)
    parser.add_argument("--secrets", required=True)
    parser.add_argument("--timeout-s", required=True, type=int)
    parser.add_argument(
        "--gateway", default="", help="name to ask by through the gateway; default: ask the port"
    )
    parser.add_argument("--gateway-port", default=443, type=int)
    parser.add_argument("--gateway-path", default="", help="what comes before all paths there")
    parser.add_argument("--ca-file", default="", help="CA of the gateway; default: the system's")
    arguments = parser.parse_args()
    base = f"http://127.0.0.1:{arguments.port}"
    if arguments.gateway:
        base = f"https://{arguments.gateway}:{arguments.gateway_port}".removesuffix(":443")
        base += arguments.gateway_path
    try:
        release = log_in(arguments, base)
    except (ChangeError, OSError) as error:
        raise SystemExit(str(error)) from error

    status, text = release.ask("/version")
    if (status, text.strip()) != (HTTPStatus.OK, arguments.version):
        raise SystemExit(f"asked for its version, the server answered {status} {text[:200]}")
    status, text = release.ask(FIRST_EXPERIMENT, login=False)
    if status != HTTPStatus.UNAUTHORIZED:
        raise SystemExit(f"without a login the server answered {status} instead of 401: {text[:200]}")
    for question, path, body in (
        ("the first experiment (database)", FIRST_EXPERIMENT, None),
        ("all experiments (database)", "/api/2.0/mlflow/experiments/search", {"max_results": 1}),
        ("registered models (database)", "/api/2.0/mlflow/registered-models/search?max_results=1", None),
        ("artifacts (bucket)", "/api/2.0/mlflow-artifacts/artifacts?path=", None),
    ):
        status, text = release.ask(path, body)
        if status != HTTPStatus.OK:
            raise SystemExit(f"asked for {question}, the server answered {status}: {text[:300]}")
        print(f"{question}: {status}")


if __name__ == "__main__":
    main()
