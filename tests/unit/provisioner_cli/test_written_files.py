"""What provision.py writes for Ansible and prints for people, and what it leaves alone."""

import shlex
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from day_two import tracking
from provisioner.errors import FlowsteadError
from tests.unit.provisioner_cli.conftest import files, sample, secret

PROJECT = Path(__file__).resolve().parents[3]
SECRETS = ("database-owner", "database-application", "admin", "server-keys", "tls-ca")


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
    assert outputs["bucket"] == "flowstead-123456789012-us-east-1"
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
    server = tracking.find(str(made.inventory))
    assert server.ca_file == made.inventory / "flowstead.ca.pem"
    assert server.ca_file.is_file()
    assert server.ssh_key == made.inventory / "ssh" / "flowstead"
    assert server.ssh_key.is_file()


def test_fab_asks_by_the_name_of_a_certificate_of_ones_own(tmp_path):
    inventory = tmp_path / "inventory"
    (inventory / "group_vars" / "all").mkdir(parents=True)
    project = replace(sample().project(), path="")
    outputs = sample(url="https://192.0.2.7", ca_file="{{ inventory_dir }}/x.ca.pem", projects=(project,))
    written = yaml.safe_dump({"flowstead": outputs.as_data()})
    (inventory / "group_vars" / "all" / "provisioned.yml").write_text(written)
    edited = inventory / "group_vars" / "tracking_servers.yml"
    edited.write_text('tracking_server_names: [mlflow.example.com]\ngateway_certificate: ""\n')
    assert tracking.find(str(inventory)).url == "https://192.0.2.7"
    assert tracking.find(str(inventory)).ca_file == inventory / "x.ca.pem"
    edited.write_text(
        "tracking_server_names: [mlflow.example.com]\ngateway_certificate: own.pem\nmy: !vault |\n  hidden\n"
    )
    assert tracking.find(str(inventory)).url == "https://mlflow.example.com"
    assert tracking.find(str(inventory)).ca_file is None
    edited.write_text("gateway_certificate: own.pem\ngateway_certificate_ca: /etc/company.pem\n")
    assert tracking.find(str(inventory)).url == "https://192.0.2.7"
    assert tracking.find(str(inventory)).ca_file == Path("/etc/company.pem")
    edited.write_text("tracking_server_names: [")
    with pytest.raises(FlowsteadError, match=r"tracking_servers\.yml:\d+: this is not YAML"):
        tracking.find(str(inventory))


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
