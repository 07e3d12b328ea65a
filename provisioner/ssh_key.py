"""The key pair that opens the hosts: the user's own, or one made for the deployment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from provisioner import files
from provisioner.config import Deployment
from provisioner.errors import FlowsteadError


@dataclass(frozen=True)
class SshKey:
    """A key pair.

    Args:
        public: the public key, one line as in authorized_keys.
        private_path: file of the private key; None when only the user's ssh agent has it.
        private_text: the private key of a pair that is in no file yet.

    """

    public: str
    private_path: Path | None
    private_text: str = field(default="", repr=False)

    def save(self) -> None:
        """Write a new pair to its files, the private one readable by its owner only.

        Raises:
            FlowsteadError: they cannot be written.

        """
        if not self.private_text or self.private_path is None:
            return
        private = self.private_path
        private.parent.mkdir(parents=True, exist_ok=True)
        private.parent.chmod(0o700)
        if private.exists():
            raise FlowsteadError(
                f"{private} exists already, and no key is ever overwritten: it may open a host.",
                next_step="Run the same command again: it takes the key that is there.",
            )
        files.write(private.with_name(private.name + ".pub"), f"{self.public}\n")
        files.write(private, self.private_text, mode=0o600)


def path_of(deployment: str, inventory: Path) -> Path:
    """Return where the private key that is made for a deployment stands."""
    return inventory / "ssh" / deployment


def read(deployment: Deployment, inventory: Path) -> SshKey | None:
    """Read the deployment's key pair; changes nothing.

    Args:
        deployment: the deployment.
        inventory: the inventory directory.

    Returns:
        The pair; None when it is `auto` and not made yet.

    Raises:
        FlowsteadError: a file of it cannot be read.

    """
    if deployment.server.ssh_public_key != "auto":
        public = Path(deployment.server.ssh_public_key)
        private = public.with_suffix("") if public.suffix == ".pub" else None
        return SshKey(_line(public), private if private and private.is_file() else None)
    return read_pair(path_of(deployment.name, inventory))


def read_pair(private: Path) -> SshKey | None:
    """Read a pair that was made here; changes nothing.

    Args:
        private: file of the private key.

    Returns:
        The pair; None when it is not made yet.

    Raises:
        FlowsteadError: a file of it cannot be read.

    """
    if not private.exists():
        return None
    public = private.with_name(private.name + ".pub")
    if not public.exists():
        files.write(public, _public_of(private) + "\n")
    return SshKey(_line(public), private)


def generate(deployment: Deployment, inventory: Path) -> SshKey:
    """Make a deployment's pair; it is in no file until it is saved.

    Args:
        deployment: the deployment.
        inventory: the inventory directory.

    Returns:
        The pair.

    """
    return generate_pair(path_of(deployment.name, inventory))


def generate_pair(private: Path) -> SshKey:
    """Make a new pair, ed25519; it is in no file until it is saved.

    Args:
        private: file that the private key will have; its name becomes the key's comment.

    Returns:
        The pair.

    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    key = ed25519.Ed25519PrivateKey.generate()
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return SshKey(
        f"{public.decode()} flowstead-{private.name}",
        private,
        text.decode(),
    )


def _line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise FlowsteadError(f"The public key {path} cannot be read: {error.strerror}.") from error


def _public_of(private: Path) -> str:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        key = serialization.load_ssh_private_key(private.read_bytes(), password=None)
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise FlowsteadError(
            f"The private key {private} cannot be read: {error}.",
            next_step="Restore it; or move it away, and name a key of your own in server.ssh_public_key.",
        ) from error
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return f"{public.decode()} flowstead-{private.name}"
