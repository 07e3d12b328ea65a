"""How clients reach a server: by what provision.py made, or by a certificate of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml

from provisioner.errors import FlowsteadError

# Relative paths in the options are meant from here, where ansible-playbook is run.
PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Entrance:
    """What a client needs to find and to trust the server.

    Args:
        url: where MLflow answers.
        ca_file: the authority's certificate; None where systems trust it by themselves.

    """

    url: str
    ca_file: Path | None


def read_options(directory: Path) -> dict[str, Any]:
    """Read the options of the tracking servers, which people edit.

    Args:
        directory: the inventory directory.

    Returns:
        Variables with their values as they stand, templates among them; none where there is no file.

    Raises:
        FlowsteadError: the file is not YAML.

    """
    edited = directory / "group_vars" / "tracking_servers.yml"
    if not edited.is_file():
        return {}
    try:
        # The loader is a safe one.
        return yaml.load(edited.read_text(encoding="utf-8"), _WithoutTags) or {}  # noqa: S506
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{edited}:{mark.line + 1}" if mark else str(edited)
        raise FlowsteadError(
            f"{where}: this is not YAML: {getattr(error, 'problem', error)}.", next_step="Correct it."
        ) from error


def entrance(directory: Path, options: Mapping[str, Any], issued: Entrance) -> Entrance:
    """Say how clients reach the server.

    Args:
        directory: the inventory directory.
        options: the variables in tracking_servers.yml.
        issued: how they do with the certificate that Flowstead's authority issues.

    Returns:
        The same, or the first name and the authority of a certificate of one's own.

    Raises:
        FlowsteadError: an option is a template that only Ansible can fill in.

    """
    if not options.get("gateway_certificate"):
        return issued
    names = options.get("tracking_server_names") or []
    authority = filled_in(directory, "gateway_certificate_ca", options.get("gateway_certificate_ca") or "")
    url = f"https://{filled_in(directory, 'tracking_server_names', names[0])}" if names else issued.url
    return Entrance(url, PROJECT / authority if authority else None)


def filled_in(directory: Path, variable: str, value: object) -> str:
    """Give a value that Ansible would work out from the inventory's directory.

    Args:
        directory: the inventory directory.
        variable: its name.
        value: what the inventory says.

    Returns:
        The value, as a text.

    Raises:
        FlowsteadError: it depends on something else.

    """
    try:
        template = jinja2.Template(str(value), undefined=jinja2.StrictUndefined)
        return str(template.render(inventory_dir=str(directory)))
    except jinja2.TemplateError as error:
        raise FlowsteadError(
            f"{variable} in {directory / 'group_vars'} is {value}, which only Ansible can fill in ({error}).",
            next_step="Write the value itself there.",
        ) from error


class _WithoutTags(yaml.SafeLoader):
    """Reads values with a tag of Ansible's, such as !vault, as None: nothing here needs them."""


_WithoutTags.add_multi_constructor("!", lambda *_: None)
