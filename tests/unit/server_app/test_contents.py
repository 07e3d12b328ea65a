"""What is refused for what a request says; with another in MLflow's place, nothing of it comes there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from served import ASK, Place

CREATE = "/api/2.0/mlflow/experiments/create"
TRACE = "/api/3.0/mlflow/traces/tr-1"
OWN = "mlflow-artifacts:/7/traces/tr-1/artifacts"
OTHERS = "mlflow-artifacts:/7/traces/tr-2/artifacts"


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        (ASK, {"run_id": "1", "metrics": [{"key": "a"}, {"key": "b\0"}]}, "metrics[1].key"),
        (ASK, {"tags": {"a\0b": 1}}, "tags.a\\u0000b"),
        (ASK + "?experiment_id=1%00", None, "'experiment_id'"),
        ("/get-artifact%00", None, "the path"),
    ],
)
def test_a_nul_is_refused_with_its_place(place: Place, path: str, body: Any, where: str) -> None:
    status, _, said = place.ask(path, method="POST", body=json.dumps(body).encode())
    assert status == 400
    assert where in said["message"]
    assert place.mlflow.got == []


@pytest.mark.parametrize("text", ["the text \\u0000", "ü", "\\\\"])
def test_what_only_looks_like_a_nul_gets_through_unchanged(place: Place, text: str) -> None:
    body = json.dumps({"value": text}).encode()
    assert place.ask(method="POST", body=body)[0] == 200
    assert place.mlflow.got[0][1] == body


@pytest.mark.parametrize("depth", [100, 100_000])
def test_a_body_that_is_nested_without_an_end_is_mlflows(place: Place, depth: int) -> None:
    body = b'["\\u00fc", ' * depth + b"1" + b"]" * depth
    assert place.ask(method="POST", body=body[:90_000])[0] == 200


def spans(name: str, key: str = "key", value: str = "value") -> bytes:
    request = ExportTraceServiceRequest()
    both = request.resource_spans.add().scope_spans.add().spans
    both.add(name="first", start_time_unix_nano=1 << 40)
    span = both.add(name=name)
    span.attributes.add(key=key).value.array_value.values.add(string_value=value)
    return request.SerializeToString()


@pytest.mark.parametrize(
    ("body", "where"),
    [
        (spans("a\0b"), "spans[1].name"),
        (spans("a", key="\0"), "spans[1].attributes[0].key"),
        (spans("a", value="b\0"), "spans[1].attributes[0].value.array_value.values[0].string_value"),
    ],
)
def test_a_nul_in_a_span_is_refused_with_its_place(place: Place, body: bytes, where: str) -> None:
    as_spans = {"Content_Type": "application/x-protobuf"}
    status, _, said = place.ask("/v1/traces", method="POST", body=body, **as_spans)
    assert status == 400
    assert f"the field resource_spans[0].scope_spans[0].{where}:" in said["message"]
    assert place.mlflow.got == []
    for fine in (spans("a"), b"\xff no spans"):
        assert place.ask("/v1/traces", method="POST", body=fine, **as_spans)[0] == 200
        assert place.mlflow.got.pop()[1] == fine


def written(location: str) -> list[bytes]:
    """The ways in which MLflow takes it."""
    plain = json.dumps({"name": "x", "artifact_location": location})
    return [
        plain.encode(),
        plain.replace("artifact_location", "artifactLocation").encode(),
        plain.replace("artifact", "\\u0061rtifact").encode(),
        json.dumps(plain).encode(),
        plain.encode("utf-16"),
        plain.encode("utf-32-be"),
    ]


@pytest.mark.parametrize(
    "location",
    [
        "/srv/x",
        "x",
        "file:///var/tmp/x",
        "s3://bucket/backups",
        "https://elsewhere.example/x",
        "mlflow-artifacts://elsewhere.example/x",
        "mlflow-artifacts:/\t/elsewhere.example/x",
        " mlflow-artifacts:/x",
        "/srv/mlflow-artifacts:/x",
    ],
)
def test_an_experiment_keeps_its_artifacts_where_the_server_does(place: Place, location: str) -> None:
    for body in written(location):
        for path in (CREATE, CREATE.replace("api", "ajax-api", 1)):
            status, _, said = place.ask(path, method="POST", body=body)
            assert (status, said["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), body
            assert "is no place for artifacts on this server" in said["message"]
    assert place.mlflow.got == []


@pytest.mark.parametrize("location", ["", "mlflow-artifacts:/mine/x", "mlflow-artifacts:///mine"])
def test_a_folder_of_the_artifacts_may_be_chosen(place: Place, location: str) -> None:
    assert [place.ask(CREATE, method="POST", body=body)[0] for body in written(location)] == [200] * 6


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{TRACE}/tags", {"key": "mlflow.artifactLocation", "value": OTHERS}),
        (f"{TRACE}/tags", {"key": "mlflow.artifactLocation", "value": f"s3://bucket/{OWN}"}),
        (f"{TRACE}/tags", {"key": "mlflow.artifactLocation"}),
        (f"{TRACE}/tags", {"key": "mlflow.trace.archiveLocation", "value": "s3://bucket/backups"}),
        ("/ajax-api/2.0/mlflow/traces/tr-1", {"tags": [{"key": "mlflow.artifactLocation", "value": OTHERS}]}),
        ("/api/3.0/mlflow/traces", {"trace": {"trace_info": {"tags": {"mlflow.artifactLocation": OTHERS}}}}),
        ("/v1/traces", {"attributes": [{"key": "mlflow.traceTag.mlflow.artifactLocation", "value": {}}]}),
    ],
)
def test_a_trace_cannot_name_the_place_of_anothers_spans(place: Place, path: str, body: Any) -> None:
    status, _, said = place.ask(path, method="PATCH", body=json.dumps(body).encode())
    assert status == 400
    assert "Only the server says where a trace's spans lie" in said["message"]
    assert place.mlflow.got == []


def test_nor_can_spans_in_binary(place: Place) -> None:
    body = spans("a", key="mlflow.traceTag.mlflow.artifactLocation")
    assert place.ask("/v1/traces", method="POST", body=body, Content_Type="application/x-protobuf")[0] == 400


def test_a_trace_may_name_its_own_place_as_old_clients_do(place: Place) -> None:
    own = json.dumps({"tags": [{"key": "mlflow.artifactLocation", "value": OWN}]}).encode()
    assert place.ask("/api/2.0/mlflow/traces/tr-1", method="PATCH", body=own)[0] == 200


def test_the_location_tag_is_text_elsewhere(place: Place) -> None:
    record = json.dumps({"records": [{"tags": {"mlflow.artifactLocation": OTHERS}}]}).encode()
    assert place.ask("/api/3.0/mlflow/datasets/1/records", method="POST", body=record)[0] == 200


def test_nobody_makes_demo_data(place: Place) -> None:
    assert place.ask("/ajax-api/3.0/mlflow/demo/generate", method="POST", body=b"{}")[0] == 403
    assert place.mlflow.got == []
