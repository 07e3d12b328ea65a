"""How AWS says what is wrong with a request: each service has its own codes and sentences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from jsonschema import ValidationError

from sandbox.api.refusal import Refusal


def _member(error: ValidationError) -> str:
    """Name the parameter, the innermost one, as EC2 and RDS do."""
    names = [step for step in error.absolute_path if isinstance(step, str)]
    return names[-1] if names else ""


def _lower(name: str) -> str:
    return name[:1].lower() + name[1:]


_SENTENCES: dict[str, Callable[[Any], str]] = {
    "required": lambda _: "must not be null",
    "minLength": lambda bound: f"must have length greater than or equal to {bound}",
    "maxLength": lambda bound: f"must have length less than or equal to {bound}",
    "minItems": lambda bound: f"must have length greater than or equal to {bound}",
    "maxItems": lambda bound: f"must have length less than or equal to {bound}",
    "minimum": lambda bound: f"must have value greater than or equal to {bound}",
    "maximum": lambda bound: f"must have value less than or equal to {bound}",
    "enum": lambda values: f"must satisfy enum value set: [{', '.join(str(value) for value in values)}]",
    "pattern": lambda pattern: f"must satisfy regular expression pattern: {pattern}",
    "javaPattern": lambda pattern: f"must satisfy regular expression pattern: {pattern}",
    "format": lambda name: "must be a valid CIDR block" if name == "ipv4-network" else f"must be a {name}",
    "anyOf": lambda _: "must be the id, ARN or alias of a KMS key",
    "not": lambda _: "must not start with a reserved word",
    "distinctKeys": lambda _: "must have distinct keys",
}
_SENTENCES["enumCaseInsensitive"] = _SENTENCES["enum"]


def _sentence(error: ValidationError) -> str:
    return _SENTENCES[str(error.validator)](error.validator_value)


def _constraint(error: ValidationError) -> str:
    """Say it as the services do that have AWS's common checks of a model: IAM, STS, Secrets Manager, KMS."""
    steps = [_lower(step) if isinstance(step, str) else f"{step + 1}.member" for step in error.absolute_path]
    value = "null" if error.instance is None else f"'{error.instance}'"
    said = "" if _schema(error).get("sensitive") else f" {value}"
    return f"Value{said} at '{'.'.join(steps)}' failed to satisfy constraint: Member {_sentence(error)}"


def _schema(error: ValidationError) -> dict[str, Any]:
    return error.schema if isinstance(error.schema, dict) else {}


def _by_model(code: str, errors: Sequence[ValidationError]) -> Refusal:
    count = len(errors)
    said = "; ".join(_constraint(error) for error in errors)
    return Refusal(code, f"{count} validation error{'s' if count > 1 else ''} detected: {said}")


def _ec2(errors: Sequence[ValidationError]) -> Refusal:
    """Source of the codes: "Error codes for the Amazon EC2 API"."""
    error = errors[0]
    if error.validator == "required":
        return Refusal("MissingParameter", f"The request must contain the parameter {_member(error)}")
    name = _lower(_member(error))
    return Refusal(
        "InvalidParameterValue",
        f"Value ({error.instance}) for parameter {name} is invalid. It {_sentence(error)}.",
    )


def _rds(errors: Sequence[ValidationError]) -> Refusal:
    """Source of the codes: "Common errors", RDS API reference."""
    error = errors[0]
    if error.validator == "required":
        return Refusal("MissingParameter", f"The request must contain the parameter {_member(error)}")
    return Refusal(
        "InvalidParameterValue", f"The parameter {_member(error)} is not valid: it {_sentence(error)}."
    )


def _s3(errors: Sequence[ValidationError]) -> Refusal:
    """Source of the codes: "Error responses", S3 API reference."""
    error = errors[0]
    if list(error.absolute_path) == ["Bucket"]:
        return Refusal("InvalidBucketName", "The specified bucket is not valid.")
    if error.validator == "required" or len(error.absolute_path) > 1:
        return Refusal(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema",
        )
    return Refusal("InvalidArgument", f"{_member(error)} {_sentence(error)}")


def _ecr(errors: Sequence[ValidationError]) -> Refusal:
    """Source of the code: "Common errors" and InvalidParameterException, ECR API reference."""
    names = (_lower(step) for step in errors[0].absolute_path if isinstance(step, str))
    return Refusal(
        "InvalidParameterException",
        f"Invalid parameter at '{'.'.join(names)}' failed to satisfy constraint: '{_sentence(errors[0])}'",
    )


_OWN: dict[str, Callable[[Sequence[ValidationError]], Refusal]] = {
    "ec2": _ec2,
    "ecr": _ecr,
    "rds": _rds,
    "s3": _s3,
}
# Source of the codes: "Common errors" in each API reference; the tagging API names its own in GetResources.
_CODES = {
    "iam": "ValidationError",
    "sts": "ValidationError",
    "resourcegroupstaggingapi": "InvalidParameterException",
}


def refusal(service: str, errors: Sequence[ValidationError]) -> Refusal:
    """Say what is wrong as the service does.

    Args:
        service: botocore's name of the service.
        errors: what is wrong, at least one.

    Returns:
        What AWS answers.
    """
    for error in errors:
        if "aws" in _schema(error):
            code, message = _schema(error)["aws"]
            return Refusal(code, message.format(value=error.instance))
    if service in _OWN:
        return _OWN[service](errors)
    return _by_model(_CODES.get(service, "ValidationException"), errors)
