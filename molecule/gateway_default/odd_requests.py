"""Send what no client of MLflow sends: odd_requests.py URL CA_FILE, with the password of admin on the input.

Fails with a line for each request that was answered otherwise than it should have been.
"""

import base64
import contextlib
import gzip
import http.client
import json
import socket
import ssl
import sys
import urllib.parse

url, ca_file = sys.argv[1:]
parts = urllib.parse.urlsplit(url)
trusted = ssl.create_default_context(cafile=ca_file)
API = "/api/2.0/mlflow"


def basic(name: str, password: str) -> str:
    """Make the header of a login."""
    return f"Authorization: Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


login = basic("admin", sys.stdin.read())


def ask(line: str, *headers: str, body: bytes = b"", length: int | None = None) -> tuple[int, str]:
    """Return the status of an answer and what it says; the body may be shorter than its announced length."""
    size = len(body) if length is None else length
    lines = (f"{line} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {size}", *headers, "", "")
    plain = socket.create_connection((parts.hostname, parts.port or 443), timeout=60)
    with trusted.wrap_socket(plain, server_hostname=parts.hostname) as connection:
        # What is refused may be refused, and the connection closed, before all of it is sent.
        with contextlib.suppress(OSError):
            connection.sendall("\r\n".join(lines).encode() + body)
        answer = http.client.HTTPResponse(connection)
        try:
            answer.begin()
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return 0, f"no answer: {error}"


def span(name: bytes) -> bytes:
    """Make OTLP's binary form of a span that has a name only (opentelemetry/proto/trace/v1/trace.proto)."""
    message = b"\x2a" + bytes([len(name)]) + name
    for number in (2, 2, 1):  # of spans, scope_spans and resource_spans
        message = bytes([number << 3 | 2, len(message)]) + message
    return message


as_json = "Content-Type: application/json"
as_spans = ("Content-Type: application/x-protobuf", "X-MLflow-Experiment-Id: 0")
as_traces = (as_json, "Content-Encoding: gzip", "X-MLflow-Experiment-Id: 0")
nul = json.dumps({"name": "a\0b"}).encode()
large = b'{"name": "' + b"x" * (40 << 20) + b'"}'
bomb = gzip.compress(bytes(200 << 20))
batch = f"POST {API}/runs/log-batch"
elsewhere = json.dumps({"name": "elsewhere", "artifact_location": "file:///var/tmp/elsewhere"}).encode()
foreign = json.dumps(
    {"key": "mlflow.artifactLocation", "value": "mlflow-artifacts:/0/traces/tr-2/artifacts"}
).encode()
question = f"GET {API}/experiments/get?experiment_id=0"
much = "x" * 60_000
other_header = login.replace("Authorization", "X-MLflow-Authorization")
cases = {
    "a large body, never sent, without a login": (ask(batch, length=150 << 20), 401, ""),
    "one with a wrong login": (ask(batch, "Authorization: Basic bm9ib2R5Om5v", length=150 << 20), 401, ""),
    "another scheme": (ask(f"GET {API}/experiments/get?experiment_id=0", "Authorization: Bearer x"), 401, ""),
    "a login in another header": (ask("POST /gateway/x/mlflow/invocations", other_header), 401, ""),
    "JSON of 40 MiB": (ask(f"POST {API}/experiments/create", login, as_json, body=large), 413, "artifacts"),
    "200 MiB in little gzip": (ask("POST /v1/traces", login, *as_traces, body=bomb), 413, ""),
    "a NUL in a name": (
        ask(f"POST {API}/experiments/create", login, as_json, body=nul),
        400,
        "the field name",
    ),
    "a NUL in a span": (
        ask("POST /v1/traces", login, *as_spans, body=span(b"a\0b")),
        400,
        "the field resource_spans[0].scope_spans[0].spans[0].name",
    ),
    "artifacts on the server's disk": (
        ask(f"POST {API}/experiments/create", login, as_json, body=elsewhere),
        400,
        "no place for artifacts on this server",
    ),
    "the place of another trace": (
        ask(f"PATCH {API}/traces/tr-1/tags", login, as_json, body=foreign),
        400,
        "where a trace's spans lie",
    ),
    "an artifact that is not there": (
        ask("GET /api/2.0/mlflow-artifacts/artifacts/0/none", login),
        404,
        "No such artifact",
    ),
    "parts of a file for the bucket": (
        ask("POST /api/2.0/mlflow-artifacts/mpu/create/0", login, as_json, body=b"{}"),
        501,
        '"Multipart upload is not supported for the current artifact repository',
    ),
    "an address in the bucket": (
        ask("GET /api/2.0/mlflow-artifacts/presigned/0/x", login),
        501,
        "Multipart download is",
    ),
    "cookies of 60,000 bytes": (ask(question, login, f"Cookie: a={much}"), 200, ""),
    "a query of 60,000 bytes": (ask(f"{question}&x={much}", login), 200, ""),
    "a page on the user's own machine": (
        ask(f"POST {API}/experiments/search", login, as_json, "Origin: http://localhost:3000", body=b"{}"),
        403,
        "",
    ),
    "demo data": (ask("POST /ajax-api/3.0/mlflow/demo/generate", login, as_json, body=b"{}"), 403, ""),
}


def leaver(method: str, path: str, password: str) -> None:
    """Have an administrator make, change or remove a user."""
    body = json.dumps({"username": "leaver", "password": password}).encode()
    ask(f"{method} {API}/users/{path}", login, as_json, body=body)


# Often enough that each of the server's workers remembers it.
leaver("POST", "create", "before-the-change")
before = {ask(question, basic("leaver", "before-the-change"))[0] for _ in range(8)}
leaver("PATCH", "update-password", "after-the-change")
after = {ask(question, basic("leaver", "before-the-change"))[0] for _ in range(6)}
leaver("DELETE", "delete", "")
cases["a password that was right"] = (max(before), ""), 200, ""
cases["and was changed"] = (min(after), ""), 401, ""
wrong = [
    f"{case}: {answer[0]} instead of {status}: {answer[1][:500]}"
    for case, (answer, status, said) in cases.items()
    if answer[0] != status or said not in answer[1] or "s3://" in answer[1]
]
sys.exit("\n".join(wrong) or 0)
