"""What AWS accepts for the values of deployment.yml, said before anything is asked of AWS."""

from __future__ import annotations

import base64
import binascii
import functools
import importlib.resources
import json
import math
import re
from pathlib import Path

from pydantic_core import PydanticCustomError

from provisioner.config.file import Key, nearest, shown
from provisioner.config.messages import not_among
from provisioner.systems import BAKED, systems

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
# The owner of a database owns its schema `public` from here on; the role database_access builds on that:
# https://www.postgresql.org/docs/15/release-15.html
oldest_postgresql = 15


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
    if value not in {0, 1}:
        raise ValueError(f"must be 1 or 0, is {shown(value)}: Flowstead makes one server so far, or none")
    return value


def servers(count: object, access_cidrs: object) -> Mistakes:
    """Find data that nobody reaches, or that more people reach than need to.

    Args:
        count: server.count.
        access_cidrs: database.access_cidrs; None: the data are files on the server's volume.

    Returns:
        The mistakes, keys from the top.

    """
    key = ("server", "count")
    if not isinstance(count, int):
        return []
    if access_cidrs is None:
        text = f"must be 1 with database.engine none, is {count}: one host has the volume; choose postgresql"
        return [] if count == 1 else [(key, text)]
    if count == 0 and not access_cidrs:
        return [(key, "is 0: who uses the data then? Set database.access_cidrs to `auto` or your networks")]
    if count != 0 and access_cidrs:
        text = "is for server.count: 0 only: with a server, `fab serve-here` goes through it; remove it"
        return [(("database", "access_cidrs"), text)]
    return []


def engine_version(value: str) -> str:
    """Check the form of a PostgreSQL version; which ones RDS has, only AWS can tell."""
    major = _major(value)
    if major is None:
        raise ValueError(f'{value!r} is not a PostgreSQL version; write it like "17" or "17.6"')
    if major < oldest_postgresql:
        raise ValueError(f"PostgreSQL {value} is too old; {oldest_postgresql} is the oldest that works here")
    return value


def aurora_mysql_version(value: str) -> str:
    """Check the form of a version of Aurora MySQL; which ones RDS has, only AWS can tell."""
    if not re.fullmatch(r"8\.[0-9](\.mysql_aurora\.[0-9]{1,2}(\.[0-9]{1,2}){2})?", value):
        text = 'write it like "8.0" or "8.0.mysql_aurora.3.10.0"'
        raise ValueError(f"{value!r} is not a version of Aurora MySQL that works here; {text}")
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


def capacity(value: object) -> float:
    """Accept a number of Aurora's capacity units, which go in halves.

    Source: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ServerlessV2ScalingConfiguration.html
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        kind = "must be a number in steps of 0.5, is {shown}"
        raise PydanticCustomError("capacity", "{error}", {"error": kind.format(shown=shown(value))})
    if value * 2 % 1:
        raise PydanticCustomError("capacity", "{error}", {"error": f"must be in steps of 0.5, is {value:g}"})
    return float(value)


def capacities(min_acu: object, max_acu: object) -> Mistakes:
    """Find a largest capacity that is below the smallest."""
    if not isinstance(min_acu, int | float) or not isinstance(max_acu, int | float) or min_acu <= max_acu:
        return []
    return [(("max_acu",), f"must be at least min_acu {min_acu:g}, is {max_acu:g}")]


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
