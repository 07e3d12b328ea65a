"""What is told to whoever asked. Managed by Ansible."""


class ChangeError(Exception):
    """What went wrong, as a sentence for whoever asked."""


class RefusedError(ChangeError):
    """Nothing was begun."""
