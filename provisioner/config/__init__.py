"""deployment.yml: read, checked, and immutable."""

from provisioner.config import rules
from provisioner.config.deployment import ADMIN, LEAST_VOLUME_GIB, Deployment
from provisioner.config.file import ConfigurationError, Mistake
from provisioner.config.loading import allowed_keys, load
from provisioner.systems import BAKED

__all__ = [
    "ADMIN",
    "BAKED",
    "LEAST_VOLUME_GIB",
    "ConfigurationError",
    "Deployment",
    "Mistake",
    "allowed_keys",
    "load",
    "rules",
]
