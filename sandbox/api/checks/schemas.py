"""The schema of an operation's parameters, as a JSON Schema, and what it finds in a request."""

from __future__ import annotations

import functools
import ipaddress
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import regex
from jsonschema import Draft202012Validator, FormatChecker, ValidationError, validators

from sandbox.api.checks import documented, properties

Schema = dict[str, Any]

# botocore's words for a shape's bounds, by type, in JSON Schema's.
_BOUNDS = {
    "string": {"min": "minLength", "max": "maxLength", "pattern": "javaPattern", "enum": "enum"},
    "list": {"min": "minItems", "max": "maxItems"},
    "number": {"min": "minimum", "max": "maximum"},
}
_NUMBERS = {"integer", "long", "float", "double"}
# A value of these types is right or cannot be read at all.
_CHECKED_BY_READING = {"boolean", "timestamp"}
# AWS adds to these without a new model: the list of a model refuses what AWS has.
_OPEN_ENUMS = {"InstanceType", "BucketLocationConstraint"}

_SAYS_SOMETHING = {
    *("enum", "enumCaseInsensitive", "javaPattern", "pattern", "format", "minLength", "maxLength"),
    *("minimum", "maximum", "not", "anyOf", "known"),
}

_SAME = {"javaPattern": "pattern", "enumCaseInsensitive": "enum"}

_formats = FormatChecker(formats=())


def _is_network(value: object) -> bool:
    return not isinstance(value, str) or ("/" in value and bool(ipaddress.IPv4Network(value, strict=False)))


_formats.checks("ipv4-network", raises=ValueError)(_is_network)


def _is_key(value: object) -> bool:
    return not isinstance(value, str) or documented.KMS_KEY.fullmatch(value) is not None


for _format in properties.KMS_FORMATS:
    _formats.checks(_format)(_is_key)


@functools.cache
def _compiled(pattern: str, is_java: bool) -> regex.Pattern[str]:
    if is_java:
        # Java's \w is of ASCII, and its sets nest, as those of the library's version 1 do.
        pattern = rf"(?V1)(?:{pattern.replace(chr(92) + 'w', '[0-9A-Za-z_]')})"
        # All characters beyond the first 65536, which Java writes as pairs.
        pattern = pattern.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\U00010000-\U0010FFFF")
        # Any character, as the models of some services write it.
        pattern = pattern.replace(r"\p{all}", r"\s\S")
    return regex.compile(pattern)


def _java_pattern(_: Any, pattern: str, instance: object, __: Schema) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _compiled(pattern, is_java=True).fullmatch(instance):
        yield ValidationError("does not match")


def _pattern(_: Any, pattern: str, instance: object, __: Schema) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not _compiled(pattern, is_java=False).search(instance):
        yield ValidationError("does not match")


def _enum_folded(_: Any, values: Sequence[str], instance: object, __: Schema) -> Iterator[ValidationError]:
    if isinstance(instance, str) and instance.lower() not in {value.lower() for value in values}:
        yield ValidationError("is not one of these")


def _required(_: Any, names: Sequence[str], instance: object, __: Schema) -> Iterator[ValidationError]:
    for name in set(names) - instance.keys() if isinstance(instance, dict) else ():
        yield ValidationError("is missing", path=(name,), instance=None)


def _distinct_keys(_: Any, case: str, instance: object, __: Schema) -> Iterator[ValidationError]:
    """Let no two tags have one key; keys that differ in case only are one where ``case`` is "folded"."""
    keys = [str(item.get("Key")) for item in instance] if isinstance(instance, list) else []
    counts = Counter(key.lower() if case == "folded" else key for key in keys)
    for key, count in counts.items():
        if count > 1:
            yield ValidationError("is there twice", instance=key)


_Validator = validators.extend(
    Draft202012Validator,
    {
        "javaPattern": _java_pattern,
        "pattern": _pattern,
        "enumCaseInsensitive": _enum_folded,
        "required": _required,
        "distinctKeys": _distinct_keys,
    },
)


def _of_shape(service: str, shape: Any, above: tuple[str, ...] = ()) -> Schema:
    """Write a shape of botocore's as a schema; one that holds itself is written once."""
    schema: Schema = {}
    if shape.name in above:
        return schema
    inner = (*above, shape.name)
    kind = shape.type_name
    bounds = _BOUNDS.get("number" if kind in _NUMBERS else kind, {})
    for name, keyword in bounds.items():
        if name in shape.metadata:
            schema[keyword] = shape.metadata[name]
    if shape.name in _OPEN_ENUMS:
        schema.pop("enum", None)
    if kind in _CHECKED_BY_READING:
        schema["known"] = True
    if shape.metadata.get("sensitive"):
        schema["sensitive"] = True
    if kind == "structure":
        schema["properties"] = {
            name: _of_shape(service, member, inner) for name, member in shape.members.items()
        }
        schema["required"] = list(shape.required_members)
    elif kind == "list":
        schema["items"] = _of_shape(service, shape.member, inner)
    elif kind == "map":
        schema["propertyNames"] = _of_shape(service, shape.key, inner)
        schema["additionalProperties"] = _of_shape(service, shape.value, inner)
    rule = documented.SHAPES.get((service, shape.name))
    return {"allOf": [schema, rule]} if rule else schema


def _at(path: str, schema: Schema) -> Schema:
    """Put a schema where a path leads: members with dots between them, [] for each of a list."""
    for step in reversed(path.replace("[]", ".[]").split(".") if path else ()):
        schema = {"items": schema} if step == "[]" else {"properties": {step: schema}}
    return schema


def _parts(schemas: Iterable[Schema]) -> Iterator[Schema]:
    for schema in schemas:
        yield schema
        yield from _parts(schema.get("allOf", ()))
        yield from _parts(schema[name] for name in ("then", "else") if name in schema)


def _leaves(schemas: Iterable[Schema], value: Any, path: str) -> Iterator[tuple[str, bool]]:
    parts = list(_parts(schemas))
    if isinstance(value, dict):
        for name, item in value.items():
            below = [part["properties"][name] for part in parts if name in part.get("properties", ())]
            below += [part["additionalProperties"] for part in parts if "additionalProperties" in part]
            yield from _leaves(below, item, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves([part["items"] for part in parts if "items" in part], item, f"{path}[]")
    else:
        yield path, any(_SAYS_SOMETHING & part.keys() for part in parts)


class OperationSchema:
    """What is known about an operation's parameters.

    Args:
        schema: as a JSON Schema.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._validator = _Validator(schema, format_checker=_formats)

    def errors(self, params: dict[str, Any]) -> list[ValidationError]:
        """Find what is wrong with parameters.

        Args:
            params: as a boto3 caller writes them.

        Returns:
            What is wrong, in the order of the parameters' names. Of what two parts of the schema say about
            one thing there is one: the one that names AWS's own error, if any does.
        """
        found: dict[tuple[str, ...], ValidationError] = {}
        for error in self._validator.iter_errors(params):
            keyword = _SAME.get(str(error.validator), str(error.validator))
            key = (*(str(step) for step in error.absolute_path), keyword)
            if key not in found or "aws" in error.schema:
                found[key] = error
        return [found[key] for key in sorted(found)]

    def coverage(self, params: dict[str, Any]) -> dict[str, bool]:
        """Say of each parameter whether the schema says something about its value.

        Args:
            params: as a boto3 caller writes them.

        Returns:
            By the parameter's path; that of a list's item has [] for its place.
        """
        found: dict[str, bool] = {}
        for path, is_checked in _leaves([self._schema], params, ""):
            found[path] = found.get(path, True) and is_checked
        return found


@functools.cache
def _of(service: str, action: str, shape: Any) -> OperationSchema:
    parts = [_of_shape(service, shape)] if shape is not None else []
    parts += [_at(path, schema) for path, schema in properties.of_operation(service, action)]
    parts += [_at(path, schema) for path, schema in documented.of_operation(service, action)]
    return OperationSchema({"allOf": parts} if parts else {})


def of_operation(service: str, operation: Any) -> OperationSchema:
    """Return the schema of an operation, made when it is first asked for.

    Args:
        service: botocore's name of the service.
        operation: botocore's model of the operation.
    """
    return _of(service, operation.name, operation.input_shape)
