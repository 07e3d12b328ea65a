"""The daemon of one sandbox: it holds the account in memory and owns every real thing that stands for it.

Started by ``python -m sandbox up``, detached from the shell; ends on SIGTERM, when everything it made is
removed.
"""

from __future__ import annotations

import logging
import secrets
import signal
import socket
import string
import sys
import tempfile
import threading
from dataclasses import asdict
from typing import Any

from sandbox import account, amis, checkip
from sandbox.api.faults import Fault, Faults
from sandbox.control import ControlServer
from sandbox.errors import SandboxError
from sandbox.files import Files
from sandbox.real.certificates import Authority
from sandbox.real.commands import RealError
from sandbox.real.site import Site
from sandbox.tls import Certificates
from sandbox.ways import ways
from sandbox.web import Listener

log = logging.getLogger(__name__)

API_PORT = 4566
ADDRESS_PORT = 4567
TRUST_STORE_PORT = 4569


def _access_key() -> tuple[str, str]:
    letters = string.ascii_uppercase + "234567"
    secret = string.ascii_letters + string.digits
    return (
        "AKIA" + "".join(secrets.choice(letters) for _ in range(16)),
        "".join(secrets.choice(secret) for _ in range(40)),
    )


class Daemon:
    """One sandbox.

    Args:
        files: its files.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._stopped = threading.Event()
        self._faults = Faults()

    def run(self) -> None:
        """Start, serve until told to stop, remove everything.

        Raises:
            SandboxError: it cannot start.
        """
        signal.signal(signal.SIGTERM, lambda *_: self._stopped.set())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        files = self._files
        amis_file = files.directory / "amis.json"
        amis.write(amis_file)
        account.prepare(str(amis_file))
        # Large objects are on the clone's disk: /tmp is memory on some machines.
        tempfile.tempdir = str(files.directory)
        site = Site.claim(files.name, files.directory, files.clone)
        try:
            self._serve(site)
        finally:
            site.release()

    def _serve(self, site: Site) -> None:
        # moto reads its environment when it is imported, so nothing that imports it may come earlier.
        from sandbox.control_plane import assemble  # noqa: PLC0415
        from sandbox.mapping.infrastructure import REGISTRY_PORT  # noqa: PLC0415

        files = self._files
        authority = Authority(files.authority)
        certificates = Certificates(authority.issue)
        access_key_id, secret_access_key = _access_key()
        with account.lock:
            account.create_administrator(access_key_id, secret_access_key)
        infrastructure, front = assemble(site, files, authority, certificates, self._faults)
        gateway = str(site.gateway)
        tls = certificates.context([gateway])
        listeners = [
            Listener(_listen(gateway, API_PORT), front, tls),
            Listener(_listen(gateway, ADDRESS_PORT), checkip.answer, tls),
            Listener(_listen(gateway, REGISTRY_PORT), infrastructure.registry.answer, tls),
            Listener(_listen(gateway, TRUST_STORE_PORT), infrastructure.networks.answer_trust_store, tls),
        ]
        for listener in listeners:
            listener.start()
        control = ControlServer(files.socket, lambda request: self._control(infrastructure, request))
        control.start()
        files.write_daemon(
            {
                "endpoint": f"https://{gateway}:{API_PORT}",
                "address_url": f"https://{gateway}:{ADDRESS_PORT}/",
                "database_ca_url": f"https://{gateway}:{TRUST_STORE_PORT}/global/global-bundle.pem",
                "ca": str(authority.ca_pem_path),
                "access_key_id": access_key_id,
                "secret_access_key": secret_access_key,
                "index": site.index,
            }
        )
        log.info("sandbox %s serves at https://%s:%s", files.name, gateway, API_PORT)
        self._stopped.wait()
        log.info("stopping")
        for listener in listeners:
            listener.stop()
        infrastructure.close()
        control.shutdown()

    def _control(self, infrastructure: Any, request: dict[str, Any]) -> dict[str, Any]:
        what = request.pop("do", "")
        if what == "ping":
            return {"ok": True}
        if what in {"status", "night"}:
            return dict(getattr(infrastructure, what)())
        if what == "take-images":
            take = infrastructure.images.take
            return {"images": [image for clone in request["clones"] for image in take(clone)]}
        if what == "fault":
            fault = Fault(**request)
            self._faults.add(fault)
            return asdict(fault)
        if what == "forget-faults":
            self._faults.clear()
            return {"ok": True}
        if what == "ways":
            if request.get("slow"):
                ways.slow_down()
            ways.set(request.get("set", {}))
            return {"ways": ways.shown()}
        raise SandboxError(f"the daemon does not know {what!r}")


def _listen(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address, port))
    except OSError as error:
        raise SandboxError(
            f"port {port} at {address} is taken ({error})",
            next_step=f"end what listens there: ss -ltnp sport = {port}",
        ) from error
    sock.listen(128)
    return sock


def main() -> None:
    """Run the daemon of the sandbox that the only argument names."""
    files = Files(sys.argv[1])
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        Daemon(files).run()
    except (SandboxError, RealError) as error:
        next_step = getattr(error, "next_step", "")
        step = f" ({next_step})" if next_step else ""
        files.write_failure(f"{error}{step}")
        raise SystemExit(1) from error
    except Exception as error:
        log.exception("the daemon failed")
        files.write_failure(f"{type(error).__name__}: {error}; see {files.log}")
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
