"""What deployment.yml may say about container images."""

from __future__ import annotations

import re

# Source: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html
_part = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
repository_pattern = re.compile(rf"(?:{_part}/)*{_part}")
least_name, most_name = 2, 256
# Source: https://github.com/distribution/reference/blob/main/reference.go, "Grammar".
base_pattern = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(:\d+)?(/[a-z0-9][a-z0-9._-]*)*(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?"
)


def repository(value: str) -> str:
    """Check the name of a repository."""
    if not repository_pattern.fullmatch(value) or not least_name <= len(value) <= most_name:
        raise ValueError(
            f"{value!r} is not the name of an ECR repository; allowed are `none`, `auto`, and 2 to 256 small "
            "letters and digits with single . _ - or / between, such as team/mlflow"
        )
    return value


def base(value: str) -> str:
    """Check the name of the image that ours builds on."""
    if not base_pattern.fullmatch(value):
        raise ValueError(
            f"{value!r} is not the name of a container image; allowed are NAME:TAG and NAME@sha256:DIGEST, "
            "with a registry in front if podman or docker would look elsewhere"
        )
    return value
