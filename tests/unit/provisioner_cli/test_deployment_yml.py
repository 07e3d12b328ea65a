"""deployment.yml: what is wrong is named with file, line and key, all together, with what is allowed."""

from pathlib import Path

import pytest
import yaml

from provisioner import config

PROJECT = Path(__file__).resolve().parents[3]
OVERLAP = """network:
  public_subnets: [10.80.0.0/24, 10.80.1.0/24]
  private_subnets: [10.80.1.0/24, 10.80.2.0/24]
"""
WORLD = "allow_world: true if it really is for everybody"


def test_the_file_in_the_repository_shows_every_key_with_its_default():
    written = yaml.safe_load((PROJECT / "deployment.yml").read_text())
    assert config.load(PROJECT / "deployment.yml").model_dump() == config.Deployment().model_dump()
    for section, keys in config.allowed_keys().items():
        part = written
        for name in section:
            part = part[name]
        assert set(part[0] if isinstance(part, list) else part) == set(keys)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("regoin: us-east-1\n", 1, "regoin: is not a key Flowstead knows; did you mean `region`?"),
        (
            "server:\n  instance_typ: x\n",
            2,
            "server.instance_typ: is not a key Flowstead knows; did you mean `instance",
        ),
        ("engine_version: '17'\n", 1, "did you mean `database.engine_version`?"),
        (
            "name: aa\nserver: {volume_gib: '20'}\n",
            2,
            "server.volume_gib: must be a whole number, is the text '20'",
        ),
        ("database:\n  multi_az: maybe\n", 2, "database.multi_az: must be true or false"),
        ("name: 12\n", 1, "name: must be text, is the number 12; put it in quotes"),
        ("name: no\n", 1, "name: must be text, is false"),
        ("database: {engine_version: 15.10}\n", 1, "must be text, is the number 15.1; put it in quotes"),
        ("tags: [a]\n", 1, "tags: must be a section"),
        ("network: {cidr: 10.80.0.0/33}\n", 1, "network.cidr: '10.80.0.0/33' is not an IPv4 network"),
        ("network: {cidr: 10.80.0.1/16}\n", 1, "did you mean 10.80.0.0/16?"),
        ("network: {cidr: 10.0.0.0/8}\n", 1, "network.cidr: 10.0.0.0/8 has prefix /8; AWS allows /16 to /28"),
        (OVERLAP, 3, "10.80.1.0/24 overlaps 10.80.1.0/24 of network.public_subnets.1"),
        (
            "network: {public_subnets: [10.80.0.0/24, 10.81.0.0/24]}\n",
            1,
            "10.81.0.0/24 is outside network.cidr 10.80.0.0/16",
        ),
        ("network: {public_subnets: [10.80.0.0/24]}\n", 1, "a list of exactly two networks"),
        (
            "name: My_Team\n",
            1,
            "name: 'My_Team' is not a name for bucket, database and role; allowed are 2 to 31",
        ),
        ("name: team--a\n", 1, "no two in a row"),
        ("name: team-\n", 1, "no hyphen at its end"),
        (f"name: {'a' * 32}\n", 1, "2 to 31 characters"),
        ("artifacts: {bucket: My.Bucket}\n", 1, "is not a bucket name; allowed are 3 to 63"),
        ("artifacts: {prefix: ../x}\n", 1, "is not a folder of the bucket"),
        (
            "backups: {prefix: artifacts}\n",
            1,
            "backups.prefix: 'artifacts' and artifacts.prefix 'artifacts' share",
        ),
        (
            "network: {flow_logs: logs}\n",
            1,
            "network.flow_logs: 'logs' is not a place for flow logs; allowed are",
        ),
        ("network: {flow_logs: s3://logs/a//b}\n", 1, "'a//b' is not a folder of the bucket"),
        (
            "artifacts: {bucket: team}\nnetwork: {flow_logs: s3://team/logs}\n",
            2,
            "network.flow_logs: 's3://team/logs/' is in the artifacts' bucket",
        ),
        ("network: {flow_logs: s3://flowstead-123456789012-us-east-1}\n", 1, "is in the artifacts' bucket"),
        ("database: {monitoring_s: 7}\n", 1, "database.monitoring_s: "),
        (
            "images: {repository: Team/MLflow}\n",
            1,
            "images.repository: 'Team/MLflow' is not the name of an ECR repository; allowed are",
        ),
        ("images:\n  repository: auto\n  keep: 0\n", 3, "images.keep: must be at least 1"),
        (
            "images: {base: --privileged}\n",
            1,
            "images.base: '--privileged' is not the name of a container image",
        ),
        ("region: us-east-1\nbackups:\n  prefix: artifacts/old\n", 3, "choose a folder next to it"),
        (
            "artifacts: {prefix: b/x}\nbackups: {prefix: b}\n",
            2,
            "'b' and artifacts.prefix 'b/x' share a folder",
        ),
        ("backups: {keep_days: 0}\n", 1, "backups.keep_days: "),
        ("backups: {keep_days: 3651}\n", 1, "backups.keep_days: "),
        (
            "region: us-esat-1\n",
            1,
            "region: 'us-esat-1' is not an AWS region; did you mean `us-east-1`? Known are",
        ),
        (
            "topology: single\n",
            1,
            "topology: is no longer a key: the shape follows from server.count, entrance and database.engine",
        ),
        ("server: {count: 2}\n", 1, "server.count: must be 1 or 0, is the number 2: Flowstead makes one"),
        ("server: {count: true}\n", 1, "server.count: must be a whole number, is true"),
        ("entrance: load_balancer\n", 1, "entrance: must be elastic_ip, is the text 'load_balancer'"),
        (
            "database: {engine: mysql}\n",
            1,
            "must be one of postgresql, aurora-postgresql, aurora-mysql, none, is the text 'm",
        ),
        (
            "database: {readers: 1}\n",
            1,
            "database.readers: is a key of aurora-postgresql and aurora-mysql; database.engine p",
        ),
        (
            "database:\n  engine: aurora-postgresql\n  storage_gib: 20\n",
            3,
            "database.storage_gib: is a key of postgresql; database.engine aurora-postgresql has no such key",
        ),
        (
            "database:\n  engine: aurora-postgresql\n  redders: 1\n",
            3,
            "database.redders: is not a key Flowstead knows; did you mean `readers`? Allowed here: engine, ",
        ),
        (
            "database:\n  engine: aurora-postgresql\n  readers: 16\n",
            3,
            "database.readers: must be at most 15, is the number 16",
        ),
        (
            "database:\n  engine: aurora-postgresql\n  min_acu: 0.7\n",
            3,
            "database.min_acu: must be in steps of 0.5, is 0.7",
        ),
        (
            "database:\n  engine: aurora-postgresql\n  min_acu: '1'\n",
            3,
            "database.min_acu: must be a number in steps of 0.5, is the text '1'",
        ),
        (
            "database:\n  engine: aurora-postgresql\n  min_acu: -0.5\n",
            3,
            "database.min_acu: must be at least 0, is the number -0.5",
        ),
        (
            "database:\n  engine: aurora-postgresql\n  max_acu: 0.5\n",
            3,
            "database.max_acu: must be at least 1, is the number 0.5",
        ),
        (
            "database:\n  engine: aurora-postgresql\n  min_acu: 4\n  max_acu: 2\n",
            4,
            "database.max_acu: must be at least min_acu 4, is 2",
        ),
        (
            "database:\n  engine: aurora-postgresql\n  min_acu: 4\n",
            1,
            "database.max_acu: must be at least min_acu 4, is 2",
        ),
        (
            "database: {engine: aurora-postgresql, engine_version: '18'}\n",
            1,
            "pg_dump 17 of server.image debian-13 cannot back up database.engine_version 18",
        ),
        (
            "database:\n  engine: aurora-mysql\n  engine_version: '17'\n",
            3,
            "database.engine_version: '17' is not a version of Aurora MySQL that works here; write it like ",
        ),
        (
            "database:\n  engine: aurora-mysql\n  engine_version: '5.7'\n",
            3,
            "database.engine_version: '5.7' is not a version of Aurora MySQL that works here",
        ),
        (
            "database: {engine: [a]}\n",
            1,
            "must be one of postgresql, aurora-postgresql, aurora-mysql, none, is a list",
        ),
        ("server: {image: debain-13}\n", 1, "must be one of debian-13, debian-12, ubuntu"),
        ("server: {instance_type: db.t3.small}\n", 1, "is not an EC2 instance type"),
        ("database: {instance_class: t4g.micro}\n", 1, "did you forget `db.` before it?"),
        ("database: {max_storage_gib: 21}\ntags: {}\n", 1, ""),
        (
            "server: {ssh_public_key: nowhere.pub}\n",
            1,
            "there is no such file; make a key with ssh-keygen, or write `auto`",
        ),
        ("access: {cidrs: [0.0.0.0/0]}\n", 1, WORLD),
        ("access: {cidrs: ['::/0']}\n", 1, WORLD),
        ("access:\n  cidrs:\n    - 0.0.0.0/1\n    - 128.0.0.0/1\n", 3, WORLD),
        ("access: {cidrs: [0.0.0.0/2, 64.0.0.0/2, 128.0.0.0/2, 192.0.0.0/2]}\n", 1, WORLD),
        ("access: {cidrs: []}\n", 1, "nobody could get in"),
        ("access: {cidrs: ['2001:db8::/48']}\n", 1, "what we make has IPv4 addresses only"),
        (
            "server: {count: 0}\n",
            1,
            "server.count: is 0: who uses the data then? Set database.access_cidrs to",
        ),
        ("server: {count: 0}\ndatabase: {access_cidrs: []}\n", 1, "server.count: is 0: who uses the data"),
        ("database: {access_cidrs: auto}\n", 1, "database.access_cidrs: is for server.count: 0 only"),
        (
            "server: {count: 0}\ndatabase:\n  access_cidrs: [0.0.0.0/1, 128.0.0.0/1]\n",
            3,
            "is 0.0.0.0/0, open to the internet; name the networks of the people who use it: a database is",
        ),
        (
            "server: {count: 0}\ndatabase: {access_cidrs: [203.0.113.7/24]}\n",
            2,
            "did you mean 203.0.113.0/24?",
        ),
        (
            "server: {count: 0}\ndatabase: {engine: none}\n",
            1,
            "server.count: must be 1 with database.engine none, is 0: one host has the volume",
        ),
        ("tags:\n  a: b\n  'aws:x': y\n", 3, "tags.aws:x: tags that begin with `aws:`"),
        ("tags: {'RDS:x': y}\n", 1, "not yours to set"),
        ("tags:\n  a: 'aws:y'\n", 2, "tags.a: has a value that begins with `aws:`"),
        ("tags:\n  name: mine\n", 2, "tags.name: the tag Name is Flowstead's own, whatever its capitals"),
        ("tags:\n  Owner: a\n  owner: b\n", 3, "tags.owner: differs from `Owner` in capitals only"),
        ('tags:\n  a: b\n  c.d: "e\\tf"\n', 3, "tags.c.d: is not a tag; allowed are up to 128 characters"),
        ('tags: {a: "b\\n"}\n', 1, "tags.a: is not a tag"),
        ("tags: {a: b*}\n", 1, "tags.a: is not a tag"),
        (f"tags: {{{'a' * 129}: b}}\n", 1, "is not a tag"),
        (f"tags: {{a: {'b' * 257}}}\n", 1, "is not a tag"),
        (f"tags: {{{', '.join(f't{n}: x' for n in range(41))}}}\n", 1, "has 41 tags; AWS leaves room for 40"),
        (
            f"access:\n  cidrs: [{', '.join(f'10.0.{n}.0/24' for n in range(31))}]\n",
            2,
            "access.cidrs: has 31 networks; AWS has room for 30 (60 rules in a security group, two for each",
        ),
        ("database: {engine_version: '14.9'}\n", 1, "PostgreSQL 14.9 is too old; 15 is the oldest"),
        ("database: {engine_version: 13}\n", 1, "PostgreSQL 13 is too old; 15 is the oldest"),
        ("database: {engine_version: seventeen}\n", 1, "is not a PostgreSQL version; write it like"),
        (
            "server:\n  image: debian-12\n",
            2,
            (
                "server.image: pg_dump 15 of server.image debian-12 cannot back up database.engine_version 17"
                '; choose server.image debian-13 or amazon-linux-2023, or database.engine_version "15"'
            ),
        ),
        (
            "database:\n  engine_version: '17.6'\nserver:\n  image: baked-ubuntu-24.04\n",
            4,
            "pg_dump 16 of server.image baked-ubuntu-24.04 cannot back up database.engine_version 17.6",
        ),
        (
            "server: {image: ubuntu-22.04}\ndatabase: {engine_version: 15}\n",
            1,
            "choose server.image debian-13 or debian-12 or ubuntu-24.04 or amazon-linux-2023",
        ),
        (
            "database:\n  engine_version: '18'\n",
            2,
            (
                "database.engine_version: pg_dump 17 of server.image debian-13 cannot back up "
                'database.engine_version 18; choose database.engine_version "15" or "16" or "17"'
            ),
        ),
        ("name: aa\nregion: us-east-1\nname: bb\n", 3, "name: is written twice, first in line 1"),
        ("access:\n  allow_world: false\n  allow_world: true\n", 3, "access.allow_world: is written twice"),
        ("name: [\n", 2, "is not YAML"),
        ("network:\n\tcidr: x\n", 2, "is not YAML"),
        ("a: 1\n---\nb: 2\n", 2, "is not YAML"),
        ("- name\n", 1, "is not a list of `key: value` lines"),
        ("just words\n", 1, "is not a list of `key: value` lines"),
        ("", 1, "is empty"),
        ("# nothing but a comment\n", 1, "is empty"),
        ("a: &a\n  b: *a\n", 1, "refers to itself"),
        ("yes: 1\n", 1, "`yes` cannot be a key"),
        ("database:\nname: aa\n", 1, "database: must be a section with indented keys, is nothing"),
    ],
)
def test_a_mistake_is_named_with_file_line_key_and_what_is_allowed(refused, text, line, words):
    if not words:
        text, words = "database: {storage_gib: 20, max_storage_gib: 21}\n", "must be at least 22"
    first = refused(text)[0]
    assert first.startswith(f"deployment.yml:{line}: ")
    assert words in first
