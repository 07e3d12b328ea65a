"""provision.py as a user runs it, against an account in this process."""

import json
import os
import re
import shlex
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from botocore.exceptions import ClientError

import fabfile
from provisioner import commands, first_contact, ssh_key
from provisioner.config import Deployment
from provisioner.engine import apply
from provisioner.errors import AwsError, FlowsteadError
from provisioner.session import Options, Session
from tests.unit.provisioner_cli import ssh_host
from tests.unit.provisioner_cli.conftest import sample

PROJECT = Path(__file__).resolve().parents[3]
SECRETS = ("database-owner", "database-application", "admin", "server-keys", "tls-ca")


def files(machine):
    return {
        str(path.relative_to(machine.inventory)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in machine.inventory.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def as_of_0_1(text):
    """Give the variables as release 0.1.0 wrote those that stood at the top."""
    return re.sub(r"""^  (\w+): ["']?([^"'\n]+)["']?$""", r'flowstead_\1: "\2"', text, flags=re.MULTILINE)


def secret(machine, name):
    text = machine.account.call("secretsmanager", "get_secret_value", SecretId=f"flowstead/flowstead/{name}")
    return json.loads(text["SecretString"])


def test_a_second_run_does_nothing_and_says_so(made):
    before = files(made)
    again = made.run()
    assert again.code == 0
    assert again.out.startswith(
        "Nothing to do: flowstead in us-east-1, account 123456789012, is as deployment.yml says "
        "(26 resources)."
    )
    assert "Next: ansible-playbook -i inventory site.yml" in again.out
    assert again.err == ""
    assert files(made) == before
    assert made.run("--json").data["changed"] is False


def test_the_inventory_has_what_ansible_needs(made):
    values = yaml.safe_load((made.inventory / "group_vars/all/provisioned.yml").read_text())
    outputs = made.run("outputs", "--json").data
    ca_file = "{{ inventory_dir | default('inventory') }}/flowstead.ca.pem"
    assert outputs["ca_file"] == str(made.inventory / "flowstead.ca.pem")
    assert values["flowstead"] == outputs | {"ca_file": ca_file}
    assert outputs["url"] == f"https://{outputs['public_address']}"
    assert outputs["storage"]["bucket"] == "flowstead-123456789012-us-east-1"
    assert outputs["database"]["port"] == 5432
    assert outputs["server"]["ssh_user"] == "admin"
    names = {arn.rpartition("/")[2][:-7] for arn in outputs["host_secret_arns"]}
    assert names == {*SECRETS} - {"tls-ca"}
    assert values["ansible_user"] == "{{ flowstead.server.ssh_user }}"
    assert (
        values["ansible_ssh_private_key_file"] == "{{ inventory_dir | default('inventory') }}/ssh/flowstead"
    )
    assert "StrictHostKeyChecking=yes" in values["ansible_ssh_common_args"]
    plugin = yaml.safe_load((made.inventory / "flowstead.aws_ec2.yml").read_text())
    assert plugin["filters"] == {"tag:flowstead:deployment": "flowstead", "instance-state-name": "running"}
    key = made.inventory / "ssh" / "flowstead"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_fab_finds_the_files_that_the_inventory_names(made):
    server = fabfile.find(str(made.inventory))
    assert server.ca_file == made.inventory / "flowstead.ca.pem"
    assert server.ca_file.is_file()
    assert server.ssh_key == made.inventory / "ssh" / "flowstead"
    assert server.ssh_key.is_file()


def test_fab_asks_by_the_name_of_a_certificate_of_ones_own(tmp_path):
    inventory = tmp_path / "inventory"
    (inventory / "group_vars" / "all").mkdir(parents=True)
    outputs = sample(url="https://192.0.2.7", ca_file="{{ inventory_dir }}/x.ca.pem")
    written = yaml.safe_dump({"flowstead": outputs.as_data()})
    (inventory / "group_vars" / "all" / "provisioned.yml").write_text(written)
    edited = inventory / "group_vars" / "tracking_servers.yml"
    edited.write_text('tracking_server_names: [mlflow.example.com]\ngateway_certificate: ""\n')
    assert fabfile.find(str(inventory)).url == "https://192.0.2.7"
    assert fabfile.find(str(inventory)).ca_file == inventory / "x.ca.pem"
    edited.write_text(
        "tracking_server_names: [mlflow.example.com]\ngateway_certificate: own.pem\nmy: !vault |\n  hidden\n"
    )
    assert fabfile.find(str(inventory)).url == "https://mlflow.example.com"
    assert fabfile.find(str(inventory)).ca_file is None
    edited.write_text("gateway_certificate: own.pem\ngateway_certificate_ca: /etc/company.pem\n")
    assert fabfile.find(str(inventory)).url == "https://192.0.2.7"
    assert fabfile.find(str(inventory)).ca_file == Path("/etc/company.pem")
    edited.write_text("tracking_server_names: [")
    with pytest.raises(FlowsteadError, match=r"tracking_servers\.yml:\d+: this is not YAML"):
        fabfile.find(str(inventory))


def test_no_secret_value_is_written_or_printed(made):
    text = "".join(
        path.read_text() for path in made.inventory.rglob("*") if path.is_file() and path.parent.name != "ssh"
    )
    for command in ((), ("plan",), ("status",), ("outputs",), ("client",), ("status", "--json")):
        result = made.run(*command)
        text += result.out + result.err
    for name in SECRETS:
        for key, value in secret(made, name).items():
            if key not in {"username", "certificate_pem"}:
                assert value not in text


def test_password_prints_the_password_and_nothing_else(made):
    assert made.run("password").out == secret(made, "admin")["password"] + "\n"


def test_client_prints_what_a_client_needs(made):
    data = made.run("client", "--json").data
    assert set(data) == {"tracking_uri", "username", "password_command", "ca_file"}
    assert data["username"] == "admin"
    assert Path(data["ca_file"]).read_text().endswith(secret(made, "tls-ca")["certificate_pem"])
    words = shlex.split(data["password_command"])
    assert all(Path(word).is_absolute() for word in (words[0], words[1], words[words.index("--config") + 1]))
    assert words[-1] == "password"
    script = made.run("client").out + '\nprintf "%s|%s" "$MLFLOW_TRACKING_URI" "$MLFLOW_TRACKING_USERNAME"'
    # The command itself needs the account, which lives in this process.
    script = script.replace(data["password_command"], "echo right")
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert shell.stdout == f"{data['tracking_uri']}|admin"


def test_client_prints_the_name_and_the_authority_of_a_certificate_of_ones_own(made):
    edited = made.inventory / "group_vars" / "tracking_servers.yml"
    edited.write_text(
        "tracking_server_names: [mlflow.example.com]\ngateway_certificate: own.pem\n"
        'gateway_certificate_ca: "{{ inventory_dir }}/company ca.pem"\n'
    )
    data = made.run("client", "--json").data
    assert data["tracking_uri"] == "https://mlflow.example.com"
    assert data["ca_file"] == str(made.inventory / "company ca.pem")
    assert "CERT_PATH='" in made.run("client").out
    # One that everybody's system trusts: what an earlier `eval` set would be in its way.
    edited.write_text("tracking_server_names: [mlflow.example.com]\ngateway_certificate: own.pem\n")
    assert made.run("client", "--json").data["ca_file"] is None
    assert "\nunset MLFLOW_TRACKING_SERVER_CERT_PATH\n" in made.run("client").out
    edited.write_text('tracking_server_names: ["{{ ours }}"]\ngateway_certificate: own.pem\n')
    result = made.run("client")
    assert result.code == 1
    assert "tracking_server_names" in result.err
    assert "'ours' is undefined" in result.err


def test_a_lost_ca_certificate_is_written_again(made):
    path = made.inventory / "flowstead.ca.pem"
    before = path.read_text()
    path.unlink()
    again = made.run()
    assert again.code == 0
    assert path.read_text() == before
    assert f"wrote {path.relative_to(made.directory)}" in again.out


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


def test_an_inventory_of_another_deployment_is_left_alone(made):
    before = files(made)
    made.configure("name: second\n")
    result = made.run()
    assert result.code == 2
    assert "belongs to the deployment 'flowstead', and Ansible would mix it with 'second'" in result.err
    assert "--inventory PATH" in result.err
    assert files(made) == before


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("region", ()),
        ("region", ("plan",)),
        ("region", ("status",)),
        ("account", ()),
        ("account", ("plan",)),
        ("account", ("client",)),
        ("account", ("destroy", "--yes", "--delete-data")),
    ],
)
def test_the_inventory_of_another_account_or_region_is_left_alone(made, place, words):
    if place == "region":
        made.configure("region: eu-west-1\n")
        where = "you are in 123456789012, eu-west-1"
    else:
        path = made.inventory / "group_vars/all/provisioned.yml"
        path.write_text(path.read_text().replace("123456789012", "210987654321"))
        where = "in the account 210987654321, us-east-1; you are in 123456789012, us-east-1"
    before = files(made)
    result = made.run(*words)
    assert result.code == 2
    assert where in result.err
    assert "--inventory PATH" in result.err
    assert files(made) == before
    assert not [call for call in made.account.calls if call.startswith("Delete")]
    # What it says to remove is enough, and leaves the key of the other deployment's hosts.
    for name in result.err.rpartition(": rm ")[2].split():
        Path(name).unlink()
    assert (made.inventory / "ssh" / "flowstead").exists()
    if place == "account":
        assert made.run().code == 0


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


def test_destroy_asks_for_the_name_and_goes_on_only_with_it(made, monkeypatch):
    made.configure("database: {deletion_protection: false}\n")
    assert made.run().code == 0
    before = files(made)
    assert made.run("destroy").code == 2
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stdin, "readline", lambda: "flowsted\n", raising=False)
    wrong = made.run("destroy")
    assert wrong.code == 2
    assert "nothing was removed" in wrong.err
    assert files(made) == before

    def think_for_a_second():
        time.sleep(1.1)
        return "flowstead\n"

    monkeypatch.setattr(sys.stdin, "readline", think_for_a_second, raising=False)
    right = made.run("destroy")
    assert right.code == 0, right.err
    # The snapshot has the name that was shown before it was made.
    (snapshot,) = made.account.call("rds", "describe_db_snapshots", SnapshotType="manual")["DBSnapshots"]
    assert f"kept: final snapshot {snapshot['DBSnapshotIdentifier']} " in right.err
    assert f"kept: final snapshot {snapshot['DBSnapshotIdentifier']} " in right.out
    assert "kept: bucket flowstead-123456789012-us-east-1" in right.out
    page = right.out.rpartition("bring kept data back: ")[2].strip()
    assert (PROJECT / page).is_file()
    assert files(made) == {}
    assert made.account.live("network") is None
    assert made.account.live("artifacts") is not None


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


def test_destroy_ends_with_what_it_does_not_know(made):
    tags = [{"Key": "flowstead:deployment", "Value": "flowstead"}]
    specification = [{"ResourceType": "elastic-ip", "Tags": tags}]
    address = made.account.call("ec2", "allocate_address", Domain="vpc", TagSpecifications=specification)
    made.configure("database: {deletion_protection: false}\n")
    for _ in range(2):
        result = made.run("destroy", "--yes")
        assert result.code == 1
        assert f"left: ec2/vpc-elastic-ip {address['AllocationId']}" in result.out
        assert "remove by hand" in result.err
    assert made.account.live("network") is None
    made.account.call("ec2", "release_address", AllocationId=address["AllocationId"])
    result = made.run("destroy", "--yes")
    assert result.code == 0
    assert "Nothing to remove" in result.out


def test_destroy_refuses_while_the_database_is_protected(made):
    result = made.run("destroy", "--yes")
    assert result.code == 2
    assert "database.deletion_protection is true" in result.err
    assert made.account.live("server") is not None


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
        host = first_contact.Host("127.0.0.1", "i-0a", "admin", "debian-13", key, server.port)
        for accept_new in (False, True):
            options = Options(
                made.directory / "deployment.yml", made.inventory, accept_new_host_key=accept_new
            )
            session = Session(options)
            session.aws = made.account.open()
            if accept_new:
                assert commands._meet_host(session, host, tmp_path / "pins") == "first use"
            else:
                with pytest.raises(AwsError, match="permission for GetConsoleOutput"):
                    commands._meet_host(session, host, tmp_path / "pins")
