"""What MLflow would take and must not, told before anything is stored: 400 (or 403), and where it stands.

One table says what is refused where. The texts of a request are looked at as MLflow will read them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError
from google.protobuf.message import Message as Protobuf
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from flowstead_server import routes
from flowstead_server.asgi import App, Message, Receive, RefusedError, Scope, Send, header, in_thread

# Without one of these in it, a JSON body has nothing that is refused: most bodies are not parsed here.
_SUSPECT = re.compile(rb"\\u|[aA]rtifact_?[lL]ocation|archiveLocation")
# Bytes that take longer to look at than a thread takes to begin.
_LONG = 1 << 16
# Where a trace's spans lie, MLflow reads in these tags of it (mlflow/tracing/utils/artifact_utils.py). OTLP
# carries tags in attributes of the root span (mlflow/tracing/constant.py, TRACE_TAG_PREFIX).
# A folder of the artifacts, as MLflow writes it: with a host's name it would be another server.
_OURS = r"mlflow-artifacts:/(//)?(?!/)[^\0-\x1f?#]*"
_LOCATION_TAGS = re.compile(r"(mlflow\.traceTag\.)?mlflow\.(artifactLocation|trace\.archiveLocation)")


@dataclass(frozen=True)
class Text:
    """A text of a request.

    Args:
        where: its place, for a person.
        name: of what it is the value; a tag's own name, too.
        value: the text.

    """

    where: str
    name: str
    value: str


Look = Callable[[Scope, Text], str | None]


def _nul(_scope: Scope, text: Text) -> str | None:
    """PostgreSQL cannot keep one, and MLflow answers 500."""
    if "\0" not in text.name + text.value:
        return None
    where = f"There is a NUL character in {text.where}"
    return f"{where}: the database cannot keep it. Remove it; nothing was stored."


def _location(_scope: Scope, text: Text) -> str | None:
    """Any other is this host's disk, or what the server would fetch for anyone."""
    if text.name not in {"artifact_location", "artifactLocation"} or not text.value:
        return None
    if re.fullmatch(_OURS, text.value):
        return None
    return (
        f"{text.value[:200]!r} is no place for artifacts on this server: they lie where it keeps all of them."
        " Leave artifact_location out, or give mlflow-artifacts:/ and a path. Nothing was stored."
    )


def _location_tag(scope: Scope, text: Text) -> str | None:
    """MLflow's clients up to 2.x send a trace's own location back; it may say nothing else."""
    if not _LOCATION_TAGS.fullmatch(text.name):
        return None
    trace = re.search(r"/mlflow/traces/([^/]+)", scope["path"])
    if trace and re.fullmatch(f"{_OURS}/traces/{re.escape(trace[1])}/artifacts", text.value):
        return None
    return f"Only the server says where a trace's spans lie: leave {text.where} out. Nothing was stored."


@dataclass(frozen=True)
class Rule:
    """What is refused where.

    Args:
        methods: of the requests, parted by blanks; empty: all.
        path: all of it.
        wrong: says what is wrong with a text, if anything is; or of every request, why nobody may send it.

    """

    methods: str
    path: re.Pattern[str]
    wrong: Look | str

    def fits(self, scope: Scope) -> bool:
        """Whether it is about a request."""
        if self.methods and scope["method"] not in self.methods.split():
            return False
        return self.path.fullmatch(scope["path"]) is not None


_API = r"/(ajax-)?api/[0-9.]+/mlflow"
RULES = (
    Rule("", re.compile(r".*", re.DOTALL), _nul),
    Rule("POST", re.compile(f"{_API}/experiments/create"), _location),
    Rule("POST PUT PATCH", re.compile(rf"{_API}/traces(/.*)?|/v1/traces"), _location_tag),
    Rule(
        "POST",
        re.compile(f"{_API}/demo/(generate|delete)"),
        "MLflow's demo data are not made on a server that a team shares.",
    ),
)


class Contents:
    """Refuses requests by the table.

    Args:
        app: what gets the others.

    """

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on that is not refused. Its body comes in one message, but a file's.

        Raises:
            RefusedError: it is.

        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        looks = []
        for rule in RULES:
            if rule.fits(scope):
                if isinstance(rule.wrong, str):
                    raise RefusedError(403, "PERMISSION_DENIED", rule.wrong)
                looks.append(rule.wrong)
        messages: list[Message] = []
        if not routes.is_upload(scope):
            messages.append(await receive())
        body: bytes = messages[0].get("body", b"") if messages else b""
        is_long = len(body) > _LONG
        wrong = await in_thread(_first, scope, body, looks) if is_long else _first(scope, body, looks)
        if wrong:
            raise RefusedError(400, "INVALID_PARAMETER_VALUE", wrong)

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await self._app(scope, replay, send)


def _first(scope: Scope, body: bytes, looks: list[Look]) -> str | None:
    """Say the first thing that is wrong."""
    said = (look(scope, text) for text in _texts(scope, body) for look in looks)
    return next((wrong for wrong in said if wrong), None)


def _texts(scope: Scope, body: bytes) -> Iterator[Text]:
    """Return what a request says, in path, query and body."""
    yield Text("the path", "", scope["path"])
    pairs = [scope["query_string"]]
    kind = b"".join(header(scope, b"content-type")).lower()
    if b"x-www-form-urlencoded" in kind:
        pairs.append(body)
    for text in pairs:
        if b"%00" in text:
            for name, value in parse_qsl(text.decode("latin-1"), keep_blank_values=True):
                yield Text(f"the parameter {name!r}", name, value)
    if scope["path"] == "/v1/traces" and b"protobuf" in kind:
        yield from _of_spans(body)
    # JSON may be UTF-16 as well: Python tells by its first bytes.
    elif _SUSPECT.search(body) or json.detect_encoding(body) not in {"utf-8", "utf-8-sig"}:
        yield from _of_json(body)


def _of_json(body: bytes) -> Iterator[Text]:
    """Return the texts of a JSON body. What is none, MLflow knows."""
    try:
        value = json.loads(body)
        if isinstance(value, str):
            # As old clients send it, and MLflow takes it: JSON in JSON.
            yield Text("the field that is the whole body", "", value)
            value = json.loads(value)
    except (ValueError, RecursionError):
        return
    waiting: list[tuple[str, str, Any]] = [("", "", value)]
    while waiting:
        where, name, value = waiting.pop()
        if isinstance(value, dict):
            # A tag: {"key": …, "value": …}
            if isinstance(value.get("key"), str):
                waiting.append((f"{where}.value".lstrip("."), value["key"], value.get("value")))
            waiting += [(f"{where}.{key}".lstrip("."), key, item) for key, item in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{where}[{number}]", name, item) for number, item in enumerate(value)]
        # A name matters whatever its value is.
        yield Text(_field(where), name, value if isinstance(value, str) else "")


def _of_spans(body: bytes) -> Iterator[Text]:
    """Return the texts of spans in OTLP's binary form. What is none, MLflow knows."""
    spans = ExportTraceServiceRequest()
    try:
        spans.ParseFromString(body)
    except DecodeError:
        return
    waiting: list[tuple[str, Protobuf]] = [("", spans)]
    while waiting:
        where, message = waiting.pop()
        for field, value in message.ListFields():
            if field.cpp_type not in {FieldDescriptor.CPPTYPE_MESSAGE, FieldDescriptor.CPPTYPE_STRING}:
                continue
            many = not isinstance(value, str | bytes | Protobuf)
            for number, item in enumerate(value if many else [value]):
                inner = f"{where}.{field.name}" if where else field.name
                inner += f"[{number}]" if many else ""
                if isinstance(item, Protobuf):
                    waiting.append((inner, item))
                elif isinstance(item, str):
                    yield Text(_field(inner), item if field.name == "key" else "", item)


def _field(where: str) -> str:
    return "the field " + (where.replace("\0", "\\u0000") or "that is the whole body")
