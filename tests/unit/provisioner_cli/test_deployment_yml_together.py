"""deployment.yml: what is accepted, what several keys say together, and all mistakes in one answer."""

from pathlib import Path

import pytest
import yaml

from provisioner import config
from provisioner.systems import systems

PROJECT = Path(__file__).resolve().parents[3]
OVERLAP = """network:
  public_subnets: [10.80.0.0/24, 10.80.1.0/24]
  private_subnets: [10.80.1.0/24, 10.80.2.0/24]
"""
WORLD = "allow_world: true if it really is for everybody"


def test_another_engine_is_refused_in_one_sentence_whatever_its_keys(refused):
    text = "database: {engine: mysql, engine_version: '18', min_acu: 0.5, max_storage_gib: 21}\n"
    assert len(refused(f"server: {{image: ubuntu-24.04}}\n{text}")) == 1


def test_aurora_is_accepted_with_keys_of_its_own(accepted):
    made = accepted("database: {engine: aurora-postgresql}\n").database
    assert (made.engine_version, made.min_acu, made.max_acu, made.readers) == ("17", 0.5, 2, 0)
    made = accepted("database: {engine: aurora-postgresql, min_acu: 0, max_acu: 256, readers: 15}\n").database
    assert (made.min_acu, made.max_acu, made.readers) == (0, 256, 15)
    made = accepted("database: {engine: aurora-mysql, readers: 1}\n").database
    assert (made.engine_version, made.min_acu, made.max_acu, made.readers) == ("8.0", 0.5, 2, 1)
    text = "database: {engine: aurora-mysql, engine_version: 8.0.mysql_aurora.3.10.0}\n"
    assert accepted(text).database.engine_version == "8.0.mysql_aurora.3.10.0"


def test_a_folder_that_takes_in_the_default_one_is_named(refused):
    assert (
        "'backups' and artifacts.prefix 'backups/x' share" in refused("artifacts: {prefix: backups/x}\n")[0]
    )
    both = refused("artifacts: {prefix: backups}\nname: My_Team\n")
    assert len(both) == 2
    assert any("share a folder" in line for line in both)


def test_folders_beside_each_other_are_accepted(accepted):
    made = accepted("artifacts: {prefix: flow}\nbackups: {prefix: flow-backups, keep_days: 3650}\n")
    assert (made.backups.prefix, made.backups.keep_days) == ("flow-backups", 3650)


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(refused):
    lines = refused(
        "name: A\n"
        "access:\n"
        "  cidrs: [0.0.0.0/0, foo]\n"
        "network:\n"
        "  cidr: 10.80.0.0/16\n"
        "  public_subnets: [10.80.0.0/24, 10.80.0.0/25]\n"
        "  private_subnets: [nonsense, 10.80.11.0/24]\n"
        "database:\n"
        "  storage_gib: 20\n"
        "  max_storage_gib: 21\n"
        "  multi_az: 1\n"
    )
    assert [line.split(": ")[1] for line in lines] == [
        "name",
        "access.cidrs.0",
        "access.cidrs.1",
        "network.public_subnets.1",
        "network.private_subnets.0",
        "database.max_storage_gib",
        "database.multi_az",
    ]
    assert [int(line.split(":")[1]) for line in lines] == [1, 3, 3, 6, 7, 10, 11]


def test_the_whole_internet_is_accepted_when_it_is_said_in_so_many_words(accepted):
    deployment = accepted("access: {cidrs: [0.0.0.0/0], allow_world: true}\n")
    assert deployment.access.cidrs == ("0.0.0.0/0",)


def test_many_small_networks_are_not_the_internet(accepted):
    assert accepted("access: {cidrs: [10.0.0.0/8, 203.0.113.7]}\n").access.cidrs == (
        "10.0.0.0/8",
        "203.0.113.7/32",
    )


def test_a_whole_number_is_a_version(accepted):
    assert accepted("database: {engine_version: 17}\n").database.engine_version == "17"


def test_a_pg_dump_that_is_too_old_is_told_with_the_other_mistakes(refused):
    keys = [line.split(": ")[1] for line in refused("name: A\nserver: {image: debian-12, volume_gib: 1}\n")]
    assert keys == ["name", "server.image", "server.volume_gib"]


def test_each_system_serves_the_databases_that_its_pg_dump_backs_up(accepted):
    for name, system in systems.items():
        for version in range(config.rules.oldest_postgresql, system.postgresql + 1):
            text = f"server: {{image: baked-{name}}}\ndatabase: {{engine_version: '{version}'}}\n"
            assert accepted(text).server.system == name


def test_the_versions_of_postgresql_are_those_of_the_roles():
    role = (PROJECT / "roles/database_access/plugin_utils/convergence.py").read_text()
    assert f"OLDEST_SERVER = {config.rules.oldest_postgresql}0000\n" in role
    clients = yaml.safe_load((PROJECT / "roles/mlflow_data/vars/main.yml").read_text())[
        "__mlflow_data_postgresql_clients"
    ]
    assert clients["RedHat"] == f"postgresql{systems['amazon-linux-2023'].postgresql}"


def test_as_many_tags_and_networks_as_aws_has_room_for(accepted):
    tags = ", ".join(f"'a b.:/=+-@é{n}': ''" for n in range(40))
    networks = ", ".join(f"10.0.{n}.0/24" for n in range(30))
    made = accepted(f"tags: {{{tags}}}\naccess: {{cidrs: [10.0.1.0/24, {networks}]}}\n")
    assert len(made.tags) == 40
    assert len(made.access.cidrs) == 30


def test_a_missing_file_and_one_that_is_not_text(tmp_path):
    with pytest.raises(config.ConfigurationError, match="there is no such file; name yours with --config"):
        config.load(tmp_path / "none.yml")
    binary = tmp_path / "binary.yml"
    binary.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(config.ConfigurationError, match="is not a text file in UTF-8"):
        config.load(binary)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "is a private key; name the public one"),
        ("hello\n", "is not a public key in OpenSSH's format"),
        ("ssh-dss AAAAB3NzaC1kc3M= x\n", "EC2 accepts one ssh-ed25519 or ssh-rsa key"),
    ],
)
def test_a_public_key_that_ec2_would_refuse(refused, tmp_path, content, words):
    (tmp_path / "key.pub").write_text(content)
    assert words in refused("server: {ssh_public_key: key.pub}\n")[0]


def test_a_public_key_is_found_from_the_files_directory(accepted, tmp_path):
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEwm8sx1DWvQ8+q0NVI5HUDEJYgzyTy4ztCZekjl6xM1 me\n"
    (tmp_path / "key.pub").write_text(key)
    assert accepted("server: {ssh_public_key: key.pub}\n").server.ssh_public_key == str(tmp_path / "key.pub")


def test_what_only_aws_can_tell_is_named_with_its_place_too(accepted):
    deployment = accepted("name: aa\ndatabase:\n  instance_class: db.x9g.large\n")
    error = deployment.refuse(config.Mistake("database.instance_class", "is not offered in us-east-1"))
    assert str(error).endswith("deployment.yml:3: database.instance_class: is not offered in us-east-1")
    assert error.exit_code == 2
