"""How database_access gets to its passwords and to the server."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import tempfile
import threading

import boto3
import pytest
from botocore.stub import Stubber
from flowstead_database_access.convergence import Convergence, Desired
from flowstead_database_access.errors import DatabaseAccessError
from flowstead_database_access.logins import Login, read_login
from flowstead_database_access.server import Server
from flowstead_database_access.tunnel import ssh_command, tunnel, wait_until_open

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:flowstead/x/database-owner-AbCdEf"
OPTIONS = {
    "ssh_executable": "ssh",
    "ssh_args": "-o ControlMaster=auto -o 'ProxyCommand=ssh -W %h:%p bastion'",
    "ssh_common_args": "-o StrictHostKeyChecking=yes",
    "ssh_extra_args": None,
    "timeout": 10,
    "port": 2222,
    "private_key_file": "/keys/id",
    "remote_user": "admin",
    "host": "203.0.113.7",
}


@pytest.fixture
def secrets():
    client = boto3.client(
        "secretsmanager", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as stubber:
        yield client, stubber


def test_a_login_is_what_its_secret_says(secrets):
    client, stubber = secrets
    value = json.dumps({"username": "mlflow_owner", "password": "p:w"})
    stubber.add_response("get_secret_value", {"SecretString": value}, {"SecretId": ARN})

    login = read_login(client, ARN)

    assert (login.username, login.password) == ("mlflow_owner", "p:w")


@pytest.mark.parametrize("value", ["no JSON", '["a list"]', '{"username": "u"}', "3"])
def test_a_secret_that_is_no_login_is_named_and_not_shown(secrets, value):
    client, stubber = secrets
    stubber.add_response("get_secret_value", {"SecretString": value})

    with pytest.raises(DatabaseAccessError, match="username and password") as caught:
        read_login(client, ARN)

    assert ARN in str(caught.value)
    assert value not in str(caught.value).replace(ARN, "")


def test_a_refused_secret_says_whose_credentials_to_use(secrets):
    client, stubber = secrets
    stubber.add_client_error("get_secret_value", "AccessDeniedException")

    with pytest.raises(DatabaseAccessError, match=r"AccessDeniedException.*provision\.py"):
        read_login(client, ARN)


def test_the_tunnel_goes_the_way_of_the_hosts_own_connection():
    command = ssh_command(OPTIONS.get, 6000, "db.example.com", 5432)

    assert command[:4] == ["ssh", "-N", "-L", "127.0.0.1:6000:db.example.com:5432"]
    assert command[-1] == "203.0.113.7"
    assert "ProxyCommand=ssh -W %h:%p bastion" in command
    assert "StrictHostKeyChecking=yes" in command
    assert [command[command.index(flag) + 1] for flag in ("-p", "-i", "-l")] == ["2222", "/keys/id", "admin"]


def test_the_tunnel_shares_no_connection_that_outlives_it():
    command = ssh_command(OPTIONS.get, 6000, "db.example.com", 5432)

    assert command.index("ControlMaster=no") < command.index("ControlMaster=auto")
    assert "ControlPath=none" in command


def test_unset_options_leave_the_choice_to_ssh():
    unset = OPTIONS | {"port": None, "private_key_file": None, "remote_user": None}

    command = ssh_command(unset.get, 6000, "db.example.com", 5432)

    assert not {"-p", "-i", "-l"} & set(command)


def test_a_tunnel_that_cannot_be_had_says_what_ssh_said():
    with (
        tempfile.TemporaryFile() as words,
        subprocess.Popen(["sh", "-c", "echo Permission denied >&2; exit 255"], stderr=words) as process,
        pytest.raises(DatabaseAccessError, match=r"db:5432 through host: Permission denied"),
    ):
        wait_until_open(process, 1, words, "db:5432 through host")


def test_the_tunnels_ssh_ends_with_the_block(tmp_path):
    pid = tmp_path / "pid"
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\necho $$ > {pid}\nexec sleep 60\n")
    ssh.chmod(0o755)

    with tunnel((OPTIONS | {"ssh_executable": str(ssh)}).get, "db.example.com", 5432):
        subprocess.run(["sh", "-c", f"until [ -s {pid} ]; do sleep 0.01; done"], check=True, timeout=10)

    assert subprocess.run(
        ["kill", "-0", pid.read_text().strip()], check=False, capture_output=True
    ).returncode


def test_a_stopped_server_is_told_once_by_its_own_name(tmp_path):
    """As ssh does for a connection that the host cannot make: the tunnel takes it, and ends it."""
    with socket.create_server(("127.0.0.1", 0)) as near_end:
        met = []

        def end_each():
            while True:
                try:
                    connection, _ = near_end.accept()
                except OSError:
                    return
                met.append(connection)
                connection.close()

        threading.Thread(target=end_each, daemon=True).start()
        port = near_end.getsockname()[1]
        server = Server(endpoint="db.example.com", at=("127.0.0.1", port), ca_path=tmp_path / "ca.pem")
        desired = Desired(("mlflow",), Login("owner", "x"), Login("application", "y"))
        convergence = Convergence(server, desired, maintenance_database="postgres", check=False)
        with pytest.raises(DatabaseAccessError) as caught:
            convergence.run(lambda: pytest.fail("the master's secret was read"))
        near_end.shutdown(socket.SHUT_RDWR)

    said = str(caught.value)
    assert said.startswith("The database server db.example.com does not answer: server closed the connection")
    assert re.search(r"start it .*run this again", said)
    assert "127.0.0.1" not in said
    assert len(met) == 1, "it was tried again"
