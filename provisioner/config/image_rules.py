"""What deployment.yml may say about container images."""

from __future__ import annotations

import re

# Source: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html
_part = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
repository_pattern = re.compile(rf"(?:{_part}/)*{_part}")
least_name, most_name = 2, 256


def repository(value: str) -> str:
    """Check the name of a repository."""
    if not repository_pattern.fullmatch(value) or not least_name <= len(value) <= most_name:
        raise ValueError(
            f"{value!r} is not the name of an ECR repository; allowed are `none`, `auto`, and 2 to 256 small "
            "letters and digits with single . _ - or / between, such as team/mlflow"
        )
    return value
