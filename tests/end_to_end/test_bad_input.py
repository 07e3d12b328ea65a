"""Mistakes, and what each gets: exit 2 naming file, line and key, before anything was changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from deployed import Deployment, Sandbox, copy_project, mutating, run

pytestmark = pytest.mark.timeout(1800)

# What stands in deployment.yml: where the mistake is said to be, and words of the answer.
CONFIGURATIONS = {
    "unknown key": ("name: a-team\nserver: {volume_gb: 20}\n", "2: server.volume_gb", "volume_gib"),
    "unknown section": ("name: a-team\ndatabse: {}\n", "2: databse", "database"),
    "wrong type": ("name: a-team\n\nserver:\n  volume_gib: plenty\n", "4: server.volume_gib", "whole number"),
    "bad network": ("network: {cidr: 10.80.0.0/33}\n", "1: network.cidr", "10.80.0.0/16"),
    "bad access": ("access:\n  cidrs: [203.0.113.0/40]\n", "2: access.cidrs.0", "network"),
    "open to the world": ("access: {cidrs: [0.0.0.0/0]}\n", "1: access.cidrs.0", "allow_world"),
    "name no bucket can have": ("name: My_Team\n", "1: name", "small letter"),
    "overlapping subnets": (
        "network: {public_subnets: [10.80.0.0/24, 10.80.0.128/25]}\n",
        "1: network.public_subnets.1",
        "overlaps",
    ),
    "subnet outside": (
        "network: {private_subnets: [10.80.10.0/24, 10.99.0.0/24]}\n",
        "1: network.private_subnets.1",
        "10.80.0.0/16",
    ),
    "unknown region": ("name: a-team\nregion: us-esat-1\n", "2: region", "us-east-1"),
    "key of an earlier release": ("topology: single\n", "1: topology", "remove the line"),
    "two servers": ("server: {count: 2}\n", "1: server.count", "one server so far"),
    "unknown entrance": ("entrance: load_balancer\n", "1: entrance", "elastic_ip"),
    "unknown engine": ("database: {engine: mysql}\n", "1: database.engine", "postgresql"),
    "readers without Aurora": (
        "name: a-team\ndatabase:\n  readers: 1\n",
        "3: database.readers",
        "is a key of aurora-postgresql",
    ),
    "capacities the wrong way round": (
        "database:\n  engine: aurora-postgresql\n  min_acu: 4\n  max_acu: 2\n",
        "4: database.max_acu",
        "at least min_acu 4",
    ),
    "a quarter of a capacity unit": (
        "database:\n  engine: aurora-postgresql\n  min_acu: 0.75\n",
        "3: database.min_acu",
        "steps of 0.5",
    ),
    "unknown image": ("server: {image: debian-11}\n", "1: server.image", "debian-13"),
    "bad bucket": ("artifacts: {bucket: My_Bucket}\n", "1: artifacts.bucket", "small letters"),
    "key that is not there": (
        "server: {ssh_public_key: none.pub}\n",
        "1: server.ssh_public_key",
        "ssh-keygen",
    ),
    "said twice": ("name: a-team\nname: b-team\n", "2: name", "twice"),
    "not YAML": ("name: [a-team\n", "2", "not YAML"),
    "empty file": ("", "1", "empty"),
    "a list": ("- name: a-team\n", "1", "key: value"),
}
# A class or type that AWS does not offer takes AWS to say so.
NOT_OFFERED = {
    "instance class": ("database: {instance_class: db.t9.micro}\n", "database.instance_class", "db.t9.micro"),
    "version of Aurora": (
        "database: {engine: aurora-postgresql, engine_version: '16'}\n",
        "database.engine_version",
        "Aurora PostgreSQL 16",
    ),
    "instance type": ("server: {instance_type: t9.small}\n", "server.instance_type", "t9.small"),
}
# Variables for site.yml, and words of the answer.
VARIABLES = {
    "release below the floor": ("mlflow_release_version=3.16.1", "published security holes"),
    "release without a lock": ("mlflow_release_version=3.99.0", "make lock MLFLOW=3.99.0"),
    "not a release": ("mlflow_release_version=latest", "mlflow_release_version is latest"),
    "certificate without key": (
        "gateway_certificate=/etc/ssl/certs/ca-certificates.crt",
        "gateway_certificate_key",
    ),
    "permission that does not exist": ("mlflow_server_default_permission=ALL", "NO_PERMISSIONS"),
    "a database's server and files": ("mlflow_server_database_path=/srv/data", "where the databases are"),
}


@pytest.fixture(scope="module")
def fresh(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A copy of the project from which nothing was provisioned."""
    directory = tmp_path_factory.mktemp("fresh")
    copy_project(directory)
    return Deployment(sandbox, directory)


def refused(deployment: Deployment, text: str) -> str:
    """Run provision.py with this deployment.yml; it must refuse it and leave everything alone."""
    config = deployment.clone / "bad.yml"
    config.write_text(text, encoding="utf-8")
    before = len(deployment.sandbox.calls())
    done = run(
        *("python", "provision.py", "--config", "bad.yml"),
        cwd=deployment.clone,
        env=deployment.environment,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert mutating(deployment.sandbox.calls()[before:]) == []
    assert not list((deployment.clone / "inventory").glob("*.aws_ec2.yml"))
    return done.stderr


@pytest.mark.parametrize("mistake", CONFIGURATIONS)
def test_a_bad_deployment_is_refused_with_file_line_and_key(mistake: str, fresh: Deployment) -> None:
    text, place, hint = CONFIGURATIONS[mistake]
    said = refused(fresh, text)
    assert f"bad.yml:{place}" in said
    assert hint in said


def test_all_mistakes_are_said_at_once(fresh: Deployment) -> None:
    said = refused(fresh, "name: My_Team\nregion: nowhere-1\nserver: {volume_gib: -1}\n")
    assert [line for line in (1, 2, 3) if f"bad.yml:{line}:" not in said] == []


@pytest.mark.parametrize("mistake", NOT_OFFERED)
def test_what_the_zones_do_not_offer_is_refused(mistake: str, fresh: Deployment) -> None:
    text, key, value = NOT_OFFERED[mistake]
    said = refused(fresh, f"name: a-team\n{text}")
    assert key in said
    assert value in said


def test_no_credentials_is_one_sentence(fresh: Deployment) -> None:
    environment = {name: value for name, value in fresh.environment.items() if "KEY" not in name}
    done = run("python", "provision.py", cwd=fresh.clone, env=environment, check=False)
    assert done.returncode in {1, 2}
    assert "Traceback" not in done.stderr
    assert "credentials" in done.stderr.lower()


def test_wrong_credentials_is_one_sentence_with_the_code(fresh: Deployment) -> None:
    environment = fresh.environment | {"AWS_SECRET_ACCESS_KEY": "wrong" * 8}
    done = run("python", "provision.py", "plan", cwd=fresh.clone, env=environment, check=False)
    assert done.returncode in {1, 2}
    assert "SignatureDoesNotMatch" in done.stderr


def test_site_without_hosts_says_to_provision(fresh: Deployment) -> None:
    done = fresh.playbook("site.yml", check=False)
    assert done.returncode != 0
    assert "python provision.py" in done.stdout + done.stderr


@pytest.mark.parametrize("mistake", VARIABLES)
def test_a_bad_variable_is_refused_before_any_change(mistake: str, deployment: Deployment) -> None:
    setting, hint = VARIABLES[mistake]
    done = deployment.playbook("site.yml", "-e", setting, check=False)
    assert done.returncode != 0
    assert hint in re.sub(r"\s+", " ", done.stdout)
    assert not re.search(r"changed=[1-9]", done.stdout)


def test_a_missing_output_is_named(deployment: Deployment, tmp_path: Path) -> None:
    written = deployment.clone / "inventory" / "group_vars" / "all" / "provisioned.yml"
    original = written.read_text(encoding="utf-8")
    lines = [line for line in original.splitlines() if not line.startswith("  bucket:")]
    assert len(lines) < len(original.splitlines())
    (tmp_path / "kept.yml").write_text(original, encoding="utf-8")
    written.write_text("\n".join(lines) + "\n", encoding="utf-8")
    try:
        done = deployment.playbook("site.yml", check=False)
    finally:
        written.write_text(original, encoding="utf-8")
    assert done.returncode != 0
    said = re.sub(r"\s+", " ", done.stdout + done.stderr)
    assert "missing required arguments: bucket found in flowstead" in said
    assert "Run: python provision.py" in said
    assert not re.search(r"changed=[1-9]", done.stdout)
