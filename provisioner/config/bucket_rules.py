"""What buckets and folders deployment.yml may name."""

from __future__ import annotations

import re

from provisioner.config.rules import Mistakes

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
bucket_pattern = re.compile(r"^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$")
bucket_prefixes = ("xn--", "sthree-", "amzn-s3-demo-")
bucket_suffixes = ("-s3alias", "--ol-s3", "--x-s3", "--table-s3")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html: characters that are safe everywhere.
prefix_pattern = re.compile(r"^[A-Za-z0-9!_.*'()-]+(/[A-Za-z0-9!_.*'()-]+)*$")


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
        raise ValueError(f"{value!r} is not a place for flow logs; allowed are s3://BUCKET/FOLDER and `none`")
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
    if not share_a_folder(artifacts, backups):
        return []
    text = (
        f"{backups!r} and artifacts.prefix {artifacts!r} share a folder; choose a folder next to it: "
        "the server may delete artifacts, and must not be able to delete backups"
    )
    return [(("backups", "prefix"), text)]


def share_a_folder(first: str, second: str) -> bool:
    """Tell whether two folders are the same, or one inside the other."""
    shorter, longer = sorted((first, second), key=len)
    return f"{longer}/".startswith(f"{shorter}/")
