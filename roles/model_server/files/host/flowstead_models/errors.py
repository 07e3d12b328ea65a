"""What the caller is told. Managed by Ansible."""


class ModelError(Exception):
    """Why a model is not served, as a sentence."""


class UnreachableError(Exception):
    """MLflow, or what it needs, is away: it is asked again later, and nothing changes."""
