"""The control plane of a sandbox, put together; imports moto, so `account.prepare` comes first."""

from __future__ import annotations

from sandbox.api.call_log import CallLog
from sandbox.api.correction import Corrections
from sandbox.api.faults import Faults
from sandbox.api.front import Front
from sandbox.corrections.registry import CORRECTIONS
from sandbox.files import Files
from sandbox.mapping.infrastructure import Infrastructure
from sandbox.real.certificates import Authority
from sandbox.real.site import Site
from sandbox.tls import Certificates


def assemble(
    site: Site, files: Files, authority: Authority, certificates: Certificates, faults: Faults
) -> tuple[Infrastructure, Front]:
    """Put the front and the real things together.

    Args:
        site: the sandbox's piece of the machine's network.
        files: its files.
        authority: signs the certificates of databases.
        certificates: makes the listeners' TLS contexts.
        faults: the faults of tests.

    Returns:
        The real things, and the front that answers AWS calls.
    """
    infrastructure = Infrastructure(site, files, authority, certificates)
    corrections = Corrections(CORRECTIONS, infrastructure)
    front = Front(CallLog(files.calls), faults, corrections, infrastructure.describe_source)
    infrastructure.serve_api_with(front)
    return infrastructure, front
