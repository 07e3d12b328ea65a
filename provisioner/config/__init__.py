"""deployment.yml: read, checked, and immutable."""

from provisioner.config import rules
from provisioner.config.deployment import (
    ADMIN,
    BAKED,
    LEAST_VOLUME_GIB,
    ConfigurationError,
    Deployment,
    Mistake,
    allowed_keys,
    load,
)

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
