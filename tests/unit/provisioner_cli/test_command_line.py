"""provision.py as a user runs it, against an account in this process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from provisioner import first_contact, meeting, ssh_key
from provisioner.config import Deployment
from provisioner.engine import apply
from provisioner.errors import AwsError
from provisioner.host import Host
from provisioner.session import Options, Session
from tests.unit.provisioner_cli import ssh_host
from tests.unit.provisioner_cli.conftest import as_of_0_1, files

PROJECT = Path(__file__).resolve().parents[3]
SECRETS = ("database-owner", "database-application", "admin", "server-keys", "tls-ca")


def test_plan_changes_nothing_and_writes_nothing(machine):
    result = machine.run("plan")
    assert result.code == 3
    assert "26 to make." in result.out
    assert machine.account.live("network") is None
    assert not machine.inventory.exists()


def test_status_shows_what_differs(made):
    made.configure("database: {backup_days: 9}\n")
    result = made.run("status")
    assert result.code == 3
    (line,) = [line for line in result.out.splitlines() if line.startswith("~")]
    assert "database" in line
    assert "7 -> 9" in line
    assert [one["action"] for one in made.run("status", "--json").data["changes"]].count("update") == 1


def test_an_instance_class_that_aws_does_not_offer_is_named_with_its_line(machine):
    machine.account.options.clear()
    machine.configure("database:\n  instance_class: db.x9g.large\n")
    result = machine.run()
    assert result.code == 2
    assert result.err.startswith("error: deployment.yml:3: database.instance_class: 'db.x9g.large'")
    assert machine.account.live("network") is None
    assert not files(machine)


def test_a_tag_that_all_lack_is_told_once_and_json_tells_each(made):
    made.configure("tags: {team: ml}\nserver: {volume_gib: 30}\n")
    said = made.run("plan").out
    found = made.run("plan", "--json").data["changes"]
    several = sum(
        [one["setting"], one["new"]] == ["tag team", "ml"]
        for change in found
        for one in change["differences"]
    )
    assert several > 15
    assert said.count("tag team: none -> ml") == 1
    assert f"~ {several} resources: tag team: none -> ml" in said
    # What one resource alone lacks is told with its name, and each is counted.
    assert "~ instance server" in said
    assert f"{sum(change['action'] == 'update' for change in found)} to change" in said


def test_an_endpoint_that_is_not_awss_own_is_named_wherever_something_would_be_changed(made, monkeypatch):
    assert "instead of AWS" not in made.run("plan").out + made.run("status").out
    elsewhere = "https://sts.eu-west-3.amazonaws.com"
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", elsewhere)
    made.configure("server: {volume_gib: 30}\n")
    for command in ("plan", "status"):
        assert f"account 123456789012, at {elsewhere} instead of AWS" in made.run(command).out


@pytest.mark.parametrize("is_of_0_1", [False, True])
def test_missing_credentials_lead_to_the_endpoint_that_the_inventory_was_written_for(
    made, monkeypatch, is_of_0_1
):
    provisioned = made.inventory / "group_vars/all/provisioned.yml"
    text = provisioned.read_text().replace("  endpoint_url: ''", "  endpoint_url: http://127.0.0.1:4566")
    provisioned.write_text(as_of_0_1(text) if is_of_0_1 else text)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for command in ("plan", "status", "apply", "client"):
        result = made.run(command)
        assert result.code == 1
        assert "Unable to locate credentials" in result.err
        assert (
            "provisioned.yml was written for AWS_ENDPOINT_URL=http://127.0.0.1:4566, which this shell"
            in result.err
        )
        assert "For AWS itself: Run `aws configure`" in result.err


def test_a_deployment_made_elsewhere_asks_for_its_private_key(made):
    (made.inventory / "ssh" / "flowstead").unlink()
    for command in ("apply", "plan"):
        result = made.run(command)
        assert result.code == 1
        assert "exists, but not its private key" in result.err
    assert not (made.inventory / "ssh" / "flowstead").exists()
    # Who only watches needs no key.
    assert made.run("status").code == 0


def test_a_half_made_deployment_has_no_outputs_yet(made):
    made.account.call(
        "secretsmanager",
        "delete_secret",
        SecretId="flowstead/flowstead/admin",
        ForceDeleteWithoutRecovery=True,
    )
    result = made.run("client")
    assert result.code == 1
    assert "is not complete in us-east-1: secret secret_admin is missing" in result.err
    assert "next: Run: python provision.py" in result.err
    result = made.run("password")
    assert result.code == 1
    assert "has no password" in result.err


def test_notes_are_shown_when_nothing_is_to_be_done(made):
    assert made.run().code == 0
    tags = [{"Key": "flowstead:deployment", "Value": "flowstead"}]
    made.account.call("sns", "create_topic", Name="older", Tags=tags)
    for command in ("plan", "status", "apply"):
        result = made.run(command)
        assert result.code == 0
        assert "note: sns older carries flowstead:deployment=flowstead" in result.out
    (unknown,) = json.loads(made.run("plan", "--json").out)["unknown"]
    assert unknown == {"kind": "sns", "id": "older", "resource": ""}


def test_an_interrupt_says_how_to_go_on(machine, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(apply, "apply", interrupted)
    result = machine.run()
    assert result.code == 130
    assert "Run the same command again: it goes on from here." in result.err


def run_alone(*words, **environment):
    clean = {"PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": "/dev/null"}
    return subprocess.run(
        [sys.executable, PROJECT / "provision.py", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=clean | {"AWS_SHARED_CREDENTIALS_FILE": "/dev/null"} | environment,
    )


def test_missing_credentials_are_one_sentence_with_the_next_step():
    result = run_alone("plan")
    assert result.returncode == 1
    assert "NoCredentialsError" in result.stderr
    assert "aws sso login" in result.stderr
    assert "Traceback" not in result.stderr
    assert "Traceback" in run_alone("plan", "--debug").stderr


@pytest.mark.parametrize("words", [("plon",), ("plan", "--colour"), ("--config",)])
def test_wrong_usage_ends_with_2(words):
    result = run_alone(*words)
    assert result.returncode == 2
    assert "Error" in result.stderr


def test_bad_input_ends_with_2_and_needs_no_account(tmp_path):
    path = tmp_path / "deployment.yml"
    path.write_text("nmae: x\nregion: us-esat-1\n")
    result = run_alone("--config", str(path))
    assert result.returncode == 2
    assert f"{path}:1: nmae: is not a key Flowstead knows; did you mean `name`?" in result.stderr
    assert f"{path}:2: region: 'us-esat-1' is not an AWS region" in result.stderr


@pytest.mark.parametrize("words", [["--help"], ["--config", "/nowhere.yml"]])
def test_what_needs_no_aws_does_not_load_it(words):
    code = (
        "import sys; sys.argv = ['provision.py', *sys.argv[1:]]; import provision; provision.main();"
        "print(sorted({'boto3', 'fabric', 'paramiko', 'jinja2', 'cryptography'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, cwd=PROJECT
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_run_with_nothing_to_do_loads_neither_fabric_nor_rich(made):
    for name in ("fabric", "paramiko", "rich.live"):
        for module in [one for one in sys.modules if one == name or one.startswith(f"{name}.")]:
            del sys.modules[module]
    assert made.run().code == 0
    assert not {"fabric", "paramiko", "rich.live"} & set(sys.modules)


@pytest.mark.parametrize("words", [(), ("apply",)])
def test_a_new_host_is_trusted_unseen_only_if_that_is_asked_for(made, monkeypatch, words):
    asked = []
    # No host of this account can be reached: test_first_contact meets real ones.
    monkeypatch.setattr(
        first_contact, "meet", lambda *_, accept_new, **__: asked.append(accept_new) or "first use"
    )
    assert made.run(*words).code == 0
    assert made.run("--accept-new-host-key", *words).code == 0
    assert asked == [False, True]


def test_a_console_that_may_not_be_read_is_told_unless_it_is_not_needed(made, tmp_path):
    def refuse(moment, name):
        if (moment, name) == ("before", "GetConsoleOutput"):
            raise ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": "no"}}, name)

    key = ssh_key.read(Deployment(), made.inventory).private_path
    made.account.hooks.append(refuse)
    with ssh_host.serving() as server:
        host = Host("127.0.0.1", "i-0a", "admin", "debian-13", key, server.port)
        for accept_new in (False, True):
            options = Options(
                made.directory / "deployment.yml", made.inventory, accept_new_host_key=accept_new
            )
            session = Session(options)
            session.aws = made.account.open()
            if accept_new:
                assert meeting.meet_host(session, host, tmp_path / "pins") == "first use"
            else:
                with pytest.raises(AwsError, match="permission for GetConsoleOutput"):
                    meeting.meet_host(session, host, tmp_path / "pins")
