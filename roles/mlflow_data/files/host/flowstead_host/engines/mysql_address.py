"""The addresses of MySQL's databases. Managed by Ansible."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from flowstead_host.errors import ChangeError


def options(uri: str) -> dict[str, Any]:
    """Return what PyMySQL connects with, of an address as SQLAlchemy has it."""
    parts = urlsplit(uri)
    query = dict(parse_qsl(parts.query))
    trust = {key[4:]: query.pop(key) for key in ("ssl_ca", "ssl_check_hostname") if key in query}
    if "ca" not in trust:
        raise ChangeError(f"the address {uri} names no ssl_ca: who answers there could be anyone")
    if trust.get("check_hostname", "true").lower() != "true":
        raise ChangeError(f"the address {uri} must not do without ssl_check_hostname")
    return {
        "host": parts.hostname,
        "port": parts.port or 3306,
        "user": unquote(parts.username or ""),
        "ssl": {"ca": trust["ca"]},
        "read_default_file": query.get("read_default_file"),
    }
