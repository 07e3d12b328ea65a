"""The address that this machine is seen from: what `access.cidrs: auto` stands for."""

from __future__ import annotations

import ipaddress
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping

from provisioner.errors import FlowsteadError

# AWS runs it for exactly this use; it answers with one line.
ADDRESS_URL = "https://checkip.amazonaws.com"
ANSWER_DEADLINE_S = 10


def seen_from(environment: Mapping[str, str] = os.environ) -> str:
    """Ask for the address that this machine's connections come from.

    Args:
        environment: FLOWSTEAD_ADDRESS_URL names another service that answers with the address alone;
            AWS_CA_BUNDLE a file of CAs to trust instead of the system's.

    Returns:
        The address as a network, "203.0.113.7/32".

    Raises:
        FlowsteadError: no answer, or one that is no IPv4 address.

    """
    url = environment.get("FLOWSTEAD_ADDRESS_URL") or ADDRESS_URL
    advice = "Write the networks of your users in access.cidrs of deployment.yml instead of `auto`."
    if not url.startswith(("https://", "http://")):
        raise FlowsteadError(f"FLOWSTEAD_ADDRESS_URL {url!r} is not a web address.", next_step=advice)
    try:
        context = ssl.create_default_context(cafile=environment.get("AWS_CA_BUNDLE") or None)
        with urllib.request.urlopen(url, timeout=ANSWER_DEADLINE_S, context=context) as answer:  # noqa: S310 - checked above
            text = answer.read(200).decode("ascii", "replace").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise FlowsteadError(
            f"{url} did not say which address this machine is seen from: {reason}.", next_step=advice
        ) from error
    try:
        return f"{ipaddress.IPv4Address(text)}/32"
    except ValueError as error:
        raise FlowsteadError(
            f"{url} answered {text[:60]!r} where an IPv4 address was expected.", next_step=advice
        ) from error
