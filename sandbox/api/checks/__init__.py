"""Requests are checked as AWS checks them, before anything is done: against schemas, each operation's one.

A schema has three parts: botocore's service model, the schema of the CloudFormation resource that the
operation makes or changes (cfn-lint carries them), and what only AWS's documentation says. What a request
gives and no part says anything about is noted, so that the holes are known.
"""

from __future__ import annotations

from sandbox.api import reading
from sandbox.api.call import Call
from sandbox.api.checks import schemas, wording
from sandbox.api.refusal import Refusal

UNREAD = "(all of it)"
"""Noted in place of parameters where a request cannot be read by a model."""


def check(call: Call) -> None:
    """Check what a request gives, and note on the call which of its parameters something is known about.

    Args:
        call: the call, authorized: AWS looks at the parameters of those only who may ask.

    Raises:
        Refusal: AWS would refuse the request.
    """
    if call.operation is None:
        call.coverage[UNREAD] = False
        return
    schema = schemas.of_operation(call.service, call.operation)
    call.coverage |= schema.coverage(call.input)
    # Of the services with forms EC2 alone documents a code for it: "Error codes for the Amazon EC2 API".
    unknown = reading.unknown_fields(call) if call.protocol == "ec2" else []
    if unknown:
        raise Refusal("UnknownParameter", f"The parameter {unknown[0]} is not recognized")
    errors = schema.errors(call.input)
    if errors:
        raise wording.refusal(call.service, errors)
