"""What Flowstead says when it cannot go on: one sentence, and the next step."""

from collections.abc import Sequence


class FlowsteadError(Exception):
    """A failure that a person can act on.

    Args:
        message: what was tried, on what, and what came of it; one sentence.
        next_step: what to do about it; may be empty.

    """

    exit_code = 1

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        """Both sentences."""
        stop = "" if not self.next_step or self.message.endswith((".", ":", "!", "?")) else "."
        return f"{self.message}{stop} {self.next_step}".strip()


class UsageError(FlowsteadError):
    """A wrong command line or configuration: nothing has been changed."""

    exit_code = 2


class AwsError(FlowsteadError):
    """AWS refused or could not be asked.

    Args:
        message: the operation, AWS's own code and message.
        code: AWS's own error code ("VpcLimitExceeded"), or the name of botocore's exception.
        operation: the API operation ("CreateVpc").
        next_step: what to do about it; may be empty.
        is_connection: AWS could not be reached at all.
        is_lost: AWS may have done it all the same: its answer did not come, or tells of AWS's own failure.

    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        operation: str = "",
        next_step: str = "",
        is_connection: bool = False,
        is_lost: bool = False,
    ) -> None:
        super().__init__(message, next_step=next_step)
        self.code = code
        self.operation = operation
        self.is_connection = is_connection
        self.is_lost = is_lost


class NotOfferedError(UsageError):
    """AWS does not offer in this region what deployment.yml asks for; nothing has been changed.

    Args:
        mistakes: the dotted key in deployment.yml and what is wrong with its value, at least one.

    """

    def __init__(self, mistakes: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{key}: {text}" for key, text in mistakes))
        self.mistakes = tuple(mistakes)


class DriftError(FlowsteadError):
    """Something found differs in a way that AWS cannot change in place, or is there twice."""


def combine(errors: Sequence[FlowsteadError]) -> FlowsteadError:
    """Make one error of several, so that a person sees all of them together.

    Args:
        errors: at least one.

    Returns:
        the only one as it is, or one that holds a line for each; a usage error when all of them are.

    """
    # What stops a run stops each of its threads.
    errors = list({str(error): error for error in errors}.values())
    if len(errors) == 1:
        return errors[0]
    kind = UsageError if all(isinstance(error, UsageError) for error in errors) else FlowsteadError
    lines = "\n".join(f"  - {error}" for error in errors)
    return kind(f"{len(errors)} things failed:\n{lines}")
