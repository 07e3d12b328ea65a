"""What the caller is told. Managed by Ansible."""


class ChangeError(Exception):
    """What went wrong, as a sentence for the caller."""


class RefusedError(ChangeError):
    """Nothing was begun."""
