"""What the provisioner writes and sends as text, rendered from templates/."""

from __future__ import annotations

import functools
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"


def user_data(deployment: str, *, lifetime_min: int = 0) -> str:
    """Render what cloud-init does at the host's first boot.

    Args:
        deployment: the deployment's name.
        lifetime_min: minutes after which the host shuts itself down; 0: never.

    Returns:
        A #cloud-config document.

    """
    return render("user_data.yml.j2", deployment=deployment, lifetime_min=lifetime_min)


def render(template: str, **variables: object) -> str:
    """Render one template; a variable that it needs and does not get is an error.

    Args:
        template: file name under templates/.
        variables: what it is about.

    Returns:
        The text, with a newline at its end.

    """
    return _environment().get_template(template).render(**variables)


@functools.cache
def _environment() -> Environment:

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701 - YAML and JSON, not HTML; values go through `tojson`
    )
