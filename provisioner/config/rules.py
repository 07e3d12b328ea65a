"""What AWS accepts for the values of deployment.yml, said before anything is asked of AWS."""

from __future__ import annotations

import base64
import binascii
import contextlib
import functools
import importlib.resources
import ipaddress
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic_core import PydanticCustomError

from provisioner.config.file import Key, dotted, nearest, shown
from provisioner.config.messages import not_among
from provisioner.systems import BAKED, systems

# https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html: a VPC and a subnet are /16 to /28.
widest_vpc_prefix, narrowest_vpc_prefix = 16, 28
# Wider than any organisation's own network: one of these, or many that add up to one, means "everybody".
ipv6 = 6
world_prefix = {4: 8, ipv6: 16}
# https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.Autoscaling.html: at least 10% of growth.
least_growth = 1.1
# 50, of which ten are left to Flowstead:
# https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
most_tags, most_tag_key, most_tag_value = 40, 128, 256
# What every service takes; the narrowest are IAM's and RDS's:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html,
# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_Tag.html
tag_pattern = re.compile(r"[\w .:/=+\-@]*")
reserved_in_tags = ("aws:", "rds:")
# 60 rules in a group, and two ports for each network:
# https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
most_cidrs = 30
# Of databases; the first is the default.
engines = ("postgresql",)
# The owner of a database owns its schema `public` from here on; the role database_access builds on that:
# https://www.postgresql.org/docs/15/release-15.html
oldest_postgresql = 15
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
bucket_pattern = re.compile(r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$")
bucket_prefixes = ("xn--", "sthree-", "amzn-s3-demo-")
bucket_suffixes = ("-s3alias", "--ol-s3", "--x-s3", "--table-s3")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html: characters that are safe everywhere.
prefix_pattern = re.compile(r"^[A-Za-z0-9!_.*'()-]+(/[A-Za-z0-9!_.*'()-]+)*$")

only_ipv4 = "the server has an IPv4 address only; name IPv4 networks"

Mistakes = list[tuple[Key, str]]


def refuse(mistakes: Mistakes) -> None:
    """Raise the mistakes, if there are any; each with its key below the value that is being checked."""
    if mistakes:
        context = {"mistakes": tuple(mistakes)}
        raise PydanticCustomError("mistakes", "mistakes", context)


def text(value: object) -> str:
    """Accept text only: YAML reads `no`, `12` and `1.5` as something else."""
    if isinstance(value, str):
        return value
    hint = "" if isinstance(value, dict | list | tuple | None) else "; put it in quotes"
    msg = f"must be text, is {shown(value)}{hint}"
    raise PydanticCustomError("text", "{error}", {"error": msg})


def version_text(value: object) -> str:
    """Accept a version as text or as a whole number; `15.10` without quotes has become 15.1 already."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return text(value)


def name(value: str) -> str:
    """Check a name that bucket, database, role and host names are made from."""
    allowed = "2 to 31 characters: a small letter first, then small letters, digits and hyphens"
    if not re.fullmatch(r"[a-z][a-z0-9-]{1,30}", value):
        raise ValueError(f"{value!r} is not a name for bucket, database and role; allowed are {allowed}")
    if value.endswith("-") or "--" in value:
        raise ValueError(
            f"{value!r} cannot name a database: no hyphen at its end and no two in a row (RDS identifiers)"
        )
    for start in ("sg-", "sthree-", "amzn-s3-demo-"):
        if value.startswith(start):
            raise ValueError(f"{value!r}: AWS keeps names that begin with {start!r} for itself")
    return value


@functools.cache
def regions() -> tuple[str, ...]:
    """Return the regions of the ordinary AWS partition that the installed botocore knows."""
    data = json.loads(
        importlib.resources.files("botocore").joinpath("data/partitions.json").read_text("utf-8")
    )
    partition = next(one for one in data["partitions"] if one["id"] == "aws")
    return tuple(sorted(one for one in partition["regions"] if one != "aws-global"))


def region(value: str) -> str:
    """Check that AWS has the region."""
    if value in regions():
        return value
    close = nearest(value, regions())
    hint = f"; did you mean `{close}`?" if close else "."
    raise ValueError(f"{value!r} is not an AWS region{hint} Known are {', '.join(regions())}")


def cidr(value: str) -> str:
    """Check an IPv4 network and write it as AWS does."""
    try:
        return str(ipaddress.IPv4Network(value))
    except ValueError:
        pass
    try:
        right = ipaddress.IPv4Interface(value).network
    except ValueError as error:
        raise ValueError(f"{value!r} is not an IPv4 network; write it like 10.80.0.0/16") from error
    raise ValueError(f"{value!r} is an address inside a network, not the network; did you mean {right}?")


def access_cidrs(value: object) -> object:
    """Check the networks that may reach the server: `auto`, or a list with at least one."""
    if value == "auto":
        return value
    if not isinstance(value, list | tuple):
        msg = f"must be `auto` or a list of networks like [203.0.113.0/24], is {shown(value)}"
        raise ValueError(msg)  # noqa: TRY004 - pydantic takes ValueError as a finding, TypeError as a crash
    if not value:
        raise ValueError("is an empty list: nobody could reach the server; write `auto` or your networks")
    mistakes: Mistakes = []
    found: list[str] = []
    for index, item in enumerate(value):
        try:
            found.append(_access_cidr(item))
        except ValueError as error:
            mistakes.append(((index,), str(error)))
    refuse(mistakes)
    different = tuple(dict.fromkeys(found))
    if len(different) > most_cidrs:
        raise ValueError(
            f"has {len(different)} networks; AWS has room for {most_cidrs} (60 rules in a security group, "
            "two for each network): join those that lie side by side, or name wider ones"
        )
    return different


def _access_cidr(item: object) -> str:
    if not isinstance(item, str):
        raise ValueError(f"must be a network like 203.0.113.0/24, is {shown(item)}")  # noqa: TRY004 - as above
    try:
        network = ipaddress.ip_network(item)
    except ValueError:
        return cidr(item)
    if network.version == ipv6 and network.prefixlen >= world_prefix[ipv6]:
        raise ValueError(f"{item!r}: {only_ipv4}")
    return str(network)


def access_width(cidrs: Sequence[object], *, allow_world: bool) -> Mistakes:
    """Find networks that are, or add up to, a large part of the internet, when that is not meant.

    Args:
        cidrs: the list as written; items that are no network are skipped (they are reported by themselves).
        allow_world: the user's word that it is meant.

    Returns:
        The mistakes, keys below `access`.

    """
    networks = []
    for index, item in enumerate(cidrs):
        try:
            networks.append((index, ipaddress.ip_network(_access_cidr(item))))
        except ValueError:
            continue
    if allow_world:
        return [(("cidrs", index), f"{one}: {only_ipv4}") for index, one in networks if one.version == ipv6]
    mistakes: Mistakes = []
    for version, prefix in world_prefix.items():
        ours = [(index, one) for index, one in networks if one.version == version]
        for whole in ipaddress.collapse_addresses(one for _, one in ours):  # type: ignore[type-var]  # one version only
            if whole.prefixlen < prefix:
                inside = [(i, one) for i, one in ours if one.subnet_of(whole)]  # type: ignore[arg-type]  # as above
                mistakes += [(("cidrs", i), _world_sentence(str(one), str(whole))) for i, one in inside]
    return mistakes


def _world_sentence(one: str, whole: str) -> str:
    what = f"{one} is" if one == whole else f"{one} with its neighbours in the list is {whole},"
    return (
        f"{what} open to the internet; name the networks of the people who use the server, "
        "or set access.allow_world: true if it really is for everybody"
    )


def network_layout(vpc: object, public: Sequence[object], private: Sequence[object]) -> Mistakes:
    """Find wrong sizes, subnets outside the network, and subnets that overlap.

    Args:
        vpc: the network as written.
        public: public subnets as written; what is no network is skipped (it is reported by itself).
        private: private subnets, likewise.

    Returns:
        The mistakes, keys below `network`.

    """
    written: list[tuple[Key, object]] = [(("cidr",), vpc)]
    written += [(("public_subnets", index), one) for index, one in enumerate(public)]
    written += [(("private_subnets", index), one) for index, one in enumerate(private)]
    networks: dict[Key, ipaddress.IPv4Network] = {}
    for key, item in written:
        with contextlib.suppress(ValueError):
            networks[key] = ipaddress.IPv4Network(item if isinstance(item, str) else "")
    mistakes: Mistakes = [
        (key, f"{one} has prefix /{one.prefixlen}; AWS allows /16 to /28")
        for key, one in networks.items()
        if not widest_vpc_prefix <= one.prefixlen <= narrowest_vpc_prefix
    ]
    whole = networks.pop(("cidr",), None)
    if whole and any(whole.overlaps(one) for one in _unusable):
        mistakes.append((("cidr",), f"{whole} is not for networks of your own; use 10., 172.16. or 192.168."))
    for index, (key, one) in enumerate(networks.items()):
        if whole and not one.subnet_of(whole):
            mistakes.append((key, f"{one} is outside network.cidr {whole}; choose a part of it"))
        for other_key, other in list(networks.items())[:index]:
            if one.overlaps(other):
                place = f"network.{dotted(other_key)}"
                mistakes.append((key, f"{one} overlaps {other} of {place}; subnets must not share addresses"))
    return mistakes


# Loopback, link-local, multicast and reserved blocks (RFC 6890): nobody's own network.
_unusable = tuple(
    ipaddress.IPv4Network(one) for one in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")
)


def instance_type(value: str) -> str:
    """Check the form of an EC2 instance type; whether the region offers it, only AWS can tell."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*\.[a-z0-9-]+", value) or value.startswith("db."):
        raise ValueError(f"{value!r} is not an EC2 instance type; write it like t3.small or m7i.large")
    return value


def instance_class(value: str) -> str:
    """Check the form of an RDS instance class; whether the region offers it, only AWS can tell."""
    if re.fullmatch(r"db\.[a-z][a-z0-9-]*\.[a-z0-9-]+", value):
        return value
    hint = "; did you forget `db.` before it?" if re.fullmatch(r"[a-z][a-z0-9]*\.[a-z0-9]+", value) else ""
    raise ValueError(f"{value!r} is not an RDS instance class; write it like db.t4g.micro{hint}")


def image(value: str) -> str:
    """Check the name of an operating system, or of one's baked image."""
    allowed = [*systems, *(BAKED + one for one in systems)]
    if value not in allowed:
        raise ValueError(not_among(allowed, value))
    return value


def count(value: int) -> int:
    """Check the number of servers."""
    if value != 1:
        raise ValueError(f"must be 1, is {shown(value)}: Flowstead makes one server so far")
    return value


def is_known_engine(database: Mapping[str, object]) -> bool:
    """Tell whether a database as written is of an engine that there is."""
    return database.get("engine", engines[0]) in engines


def engine(value: object) -> object:
    """Check a database's engine before its keys: another engine has others."""
    if isinstance(value, dict) and not is_known_engine(value):
        refuse([(("engine",), not_among(engines, value["engine"]))])
    return value


def engine_version(value: str) -> str:
    """Check the form of a PostgreSQL version; which ones RDS has, only AWS can tell."""
    major = _major(value)
    if major is None:
        raise ValueError(f'{value!r} is not a PostgreSQL version; write it like "17" or "17.6"')
    if major < oldest_postgresql:
        raise ValueError(f"PostgreSQL {value} is too old; {oldest_postgresql} is the oldest that works here")
    return value


def _major(version: object) -> int | None:
    match = re.fullmatch(r"([1-9][0-9])(\.[0-9]{1,2})?", version if isinstance(version, str) else "")
    return int(match[1]) if match else None


def backup_tools(image: object, version: object) -> Mistakes:
    """Find a system as written whose pg_dump is older than the database as written, so cannot back it up.

    Args:
        image: what is no system is skipped (it is reported by itself).
        version: PostgreSQL's; what is none, or is too old, is skipped, likewise.

    Returns:
        The mistakes, keys from the top.

    """
    system = systems.get(image.removeprefix(BAKED)) if isinstance(image, str) else None
    major = _major(version)
    if system is None or major is None or not max(system.postgresql, oldest_postgresql - 1) < major:
        return []
    fitting = [name for name, one in systems.items() if one.postgresql >= major]
    versions = [f'"{one}"' for one in range(oldest_postgresql, system.postgresql + 1)]
    ways = [f"server.image {' or '.join(fitting)}"] if fitting else []
    ways += [f"database.engine_version {' or '.join(versions)}"] if versions else []
    text = (
        f"pg_dump {system.postgresql} of server.image {image} cannot back up "
        f"database.engine_version {version}; choose {', or '.join(ways)}"
    )
    return [(("server", "image") if fitting else ("database", "engine_version"), text)]


def storage_growth(storage_gib: object, max_storage_gib: object) -> Mistakes:
    """Find a limit of growth that RDS refuses: less than 10% above the size, but not equal to it."""
    if not isinstance(storage_gib, int) or not isinstance(max_storage_gib, int):
        return []
    if max_storage_gib == storage_gib or max_storage_gib >= storage_gib * least_growth:
        return []
    least_gib = math.ceil(storage_gib * least_growth)
    text = (
        f"must be at least {least_gib} (10% more than storage_gib {storage_gib}), "
        f"or equal to it to switch growth off; is {max_storage_gib}"
    )
    return [(("max_storage_gib",), text)]


def bucket(value: str) -> str:
    """Check a bucket's name."""
    if value == "auto":
        return value
    if not bucket_pattern.fullmatch(value):
        allowed = "3 to 63 small letters, digits and hyphens, no hyphen at either end, no dots (TLS)"
        raise ValueError(f"{value!r} is not a bucket name; allowed are {allowed}, or `auto`")
    if value.startswith(bucket_prefixes) or value.endswith(bucket_suffixes):
        raise ValueError(f"{value!r}: Amazon S3 keeps names that begin or end like this for itself")
    return value


def flow_logs(value: str) -> str:
    """Check where flow logs go."""
    name, _, folder = value.removeprefix("s3://").rstrip("/").partition("/")
    if value == "none":
        return value
    if not value.startswith("s3://") or not bucket_pattern.fullmatch(name):
        raise ValueError(f"{value!r} is no place for flow logs; allowed are s3://BUCKET/FOLDER and `none`")
    return f"s3://{name}/{prefix(folder)}/" if folder else f"s3://{name}"


def another_bucket(place: object, bucket: object, name: object, region: object) -> Mistakes:
    """Find flow logs in the artifacts' bucket; what is no text is skipped."""
    own = rf"{name}-\d{{12}}-{region}" if bucket == "auto" else re.escape(str(bucket))
    if not isinstance(place, str) or not re.fullmatch(rf"s3://{own}(/.*)?", place):
        return []
    text = f"{place!r} is in the artifacts' bucket, whose policy AWS would change; choose another bucket"
    return [(("network", "flow_logs"), text)]


def prefix(value: str) -> str:
    """Check the folder in the bucket."""
    bad_part = any(part in {".", ".."} for part in value.split("/"))
    if not prefix_pattern.fullmatch(value) or bad_part or "*" in value:
        raise ValueError(
            f"{value!r} is not a folder of the bucket; allowed are letters, digits and !_.'()- with "
            "single slashes between, none at either end"
        )
    return value


def folders(artifacts: object, backups: object) -> Mistakes:
    """Find folders as written that are the same, or one inside the other; what is no text is skipped."""
    if not isinstance(artifacts, str) or not isinstance(backups, str):
        return []
    shorter, longer = sorted((artifacts, backups), key=len)
    if not f"{longer}/".startswith(f"{shorter}/"):
        return []
    text = (
        f"{backups!r} and artifacts.prefix {artifacts!r} share a folder; choose another beside it: "
        "the server may delete artifacts, and must not be able to delete backups"
    )
    return [(("backups", "prefix"), text)]


def tags(value: dict[str, str]) -> dict[str, str]:
    """Check further tags."""
    mistakes: Mistakes = []
    if len(value) > most_tags:
        mistakes.append(((), f"has {len(value)} tags; AWS leaves room for {most_tags}"))
    # IAM takes keys that differ in capitals only for one key, and refuses both.
    first: dict[str, str] = {}
    for key, content in value.items():
        other = first.setdefault(key.casefold(), key)
        if key.casefold() == "name":
            text = "the tag Name is Flowstead's own, whatever its capitals: the name of each resource"
            mistakes.append(((key,), text))
        elif other != key:
            mistakes.append(((key,), f"differs from `{other}` in capitals only, which IAM refuses; keep one"))
        elif key.lower().startswith((*reserved_in_tags, "flowstead:")):
            text = "tags that begin with `aws:`, `rds:` or `flowstead:` are not yours to set"
            mistakes.append(((key,), text))
        elif content.lower().startswith(reserved_in_tags):
            mistakes.append(((key,), "has a value that begins with `aws:` or `rds:`, which RDS refuses"))
        elif (
            not 0 < len(key) <= most_tag_key
            or len(content) > most_tag_value
            or not tag_pattern.fullmatch(key + content)
        ):
            allowed = "up to 128 characters of name and 256 of value: letters, digits, spaces and _.:/=+-@"
            mistakes.append(((key,), f"is not a tag; allowed are {allowed}"))
    refuse(mistakes)
    return value


def public_key_file(path: Path) -> Path:
    """Check that a file holds one public key that EC2 accepts."""
    try:
        content = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError as error:
        raise ValueError(
            f"{path}: there is no such file; make a key with ssh-keygen, or write `auto`"
        ) from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}; or write `auto`") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a public key (not text)") from error
    if "PRIVATE KEY" in content:
        raise ValueError(f"{path} is a private key; name the public one, most likely {path}.pub")
    parts = content.split()
    try:
        blob = base64.b64decode(parts[1], validate=True)
        kind = blob[4 : 4 + int.from_bytes(blob[:4], "big")].decode()
    except (IndexError, binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is not a public key in OpenSSH's format (ssh-ed25519 AAAA… name)"
        ) from error
    # https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-key-pairs.html: RSA and ED25519 only.
    if parts[0] not in {"ssh-ed25519", "ssh-rsa"} or kind != parts[0] or len(content.splitlines()) > 1:
        raise ValueError(f"{path} holds {parts[0]!r}; EC2 accepts one ssh-ed25519 or ssh-rsa key")
    return path
