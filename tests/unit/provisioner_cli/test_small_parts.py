"""Files, keys, the machine's address, policies and progress: the parts that commands are made of."""

import contextlib
import http.server
import io
import json
import subprocess
import sys
import threading

import pytest
import yaml

from provisioner import address, files, progress, rendering, ssh_key, tls
from provisioner.config import Deployment
from provisioner.engine.apply import Event
from provisioner.engine.plan import Change, Plan
from provisioner.errors import FlowsteadError
from provisioner.resources.base import Live
from provisioner.resources.state import State
from provisioner.session import Session
from tests.unit.provisioner.moto_account import Account, Clock


@contextlib.contextmanager
def answering(text):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def test_the_address_this_machine_is_seen_from_becomes_a_network():
    with answering("203.0.113.7\n") as url:
        assert address.seen_from({"FLOWSTEAD_ADDRESS_URL": url}) == "203.0.113.7/32"


@pytest.mark.parametrize("text", ["<html>proxy</html>", "", "2001:db8::1"])
def test_an_answer_that_is_no_address_is_refused_with_the_way_out(text):
    with answering(text) as url, pytest.raises(FlowsteadError, match="IPv4 address was expected") as caught:
        address.seen_from({"FLOWSTEAD_ADDRESS_URL": url})
    assert "access.cidrs" in caught.value.next_step


def test_no_answer_is_told_with_the_way_out():
    with pytest.raises(FlowsteadError, match="did not say which address") as caught:
        address.seen_from({"FLOWSTEAD_ADDRESS_URL": "http://127.0.0.1:1/"})
    assert "access.cidrs" in caught.value.next_step
    with pytest.raises(FlowsteadError, match="is not a web address"):
        address.seen_from({"FLOWSTEAD_ADDRESS_URL": "file:///etc/passwd"})


def test_a_file_is_written_only_when_it_changes_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "sub" / "file"
    assert files.write(path, "one\n", mode=0o600) is True
    before = path.stat()
    assert files.write(path, "one\n", mode=0o600) is False
    assert path.stat() == before
    assert files.write(path, "two\n", mode=0o600) is True
    assert [one.name for one in path.parent.iterdir()] == ["file"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_directory_that_cannot_be_written_is_told_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FlowsteadError, match="cannot be written"):
        files.write(tmp_path / "file" / "below", "x")


def test_a_key_pair_is_in_no_file_until_it_is_saved_and_then_opens_with_openssh(tmp_path):
    assert ssh_key.read(Deployment(), tmp_path) is None
    pair = ssh_key.generate(Deployment(), tmp_path)
    assert list(tmp_path.iterdir()) == []
    pair.save()
    shown = subprocess.run(
        ["ssh-keygen", "-y", "-f", pair.private_path], capture_output=True, text=True, check=True
    )
    assert pair.public.startswith(shown.stdout.strip())
    assert pair.private_text not in repr(pair)
    pair.private_path.with_name("flowstead.pub").unlink()
    again = ssh_key.read(Deployment(), tmp_path)
    assert again.public.split()[:2] == pair.public.split()[:2]


def test_a_users_own_key_is_used_with_its_private_half_when_that_lies_beside_it(tmp_path):
    pair = ssh_key.generate(Deployment(), tmp_path)
    public = tmp_path / "mine.pub"
    public.write_text(pair.public)
    deployment = Deployment.model_validate({"server": {"ssh_public_key": str(public)}})
    assert ssh_key.read(deployment, tmp_path).private_path is None
    (tmp_path / "mine").write_text("")
    assert ssh_key.read(deployment, tmp_path).private_path == tmp_path / "mine"


def test_the_authority_signs_and_nothing_else(tmp_path):
    authority = tls.make_authority("team")
    path = tmp_path / "ca.pem"
    path.write_text(authority.certificate_pem)
    text = subprocess.run(
        ["openssl", "x509", "-in", path, "-noout", "-text"], capture_output=True, text=True, check=True
    ).stdout
    assert "CA:TRUE, pathlen:0" in text
    assert "Certificate Sign, CRL Sign" in text
    assert "ASN1 OID: prime256v1" in text


def permissions(name):
    graph = Account.graph(None, artifacts={"prefix": "p/q"}, backups={"prefix": "kept"})
    arns = {one: f"arn:{one.name.removeprefix('secret_')}" for one in graph} | {
        graph["artifacts"]: "arn:aws:s3:::b"
    }
    return graph[name].permissions(State({one: Live("id", arn=arn) for one, arn in arns.items()}))


def test_the_role_may_touch_its_folder_and_its_secrets_and_nothing_else():
    policy = permissions("server_role")
    allowed = {
        (action, json.dumps(one["Resource"]))
        for one in policy["Statement"]
        for action in ([one["Action"]] if isinstance(one["Action"], str) else one["Action"])
    }
    assert {resource for _, resource in allowed} == {
        '"arn:aws:s3:::b/p/q/*"',
        '"arn:aws:s3:::b/kept/*"',
        '"arn:aws:s3:::b"',
        '["arn:admin", "arn:database_application", "arn:database_owner", "arn:server_keys"]',
    }
    assert ("s3:DeleteObject", '"arn:aws:s3:::b/kept/*"') not in allowed
    assert not [action for action, _ in allowed if "*" in action]


def test_the_servers_role_may_touch_the_artifacts_and_nothing_else():
    policy = permissions("artifacts_role")
    assert [one["Resource"] for one in policy["Statement"]] == ["arn:aws:s3:::b/p/q/*", "arn:aws:s3:::b"]
    (listing,) = (one for one in policy["Statement"] if one["Action"] == "s3:ListBucket")
    assert listing["Condition"] == {"StringLike": {"s3:prefix": ["p/q", "p/q/*"]}}
    assert all(one["Effect"] == "Allow" for one in policy["Statement"])


def test_the_endpoint_leads_to_the_bucket_and_to_the_systems_packages_if_they_are_in_s3():
    endpoint = Account.graph(None, server={"image": "amazon-linux-2023"})["s3_endpoint"]
    assert endpoint.packages == "al2023-repos-us-east-1-de612dc2"
    assert Account.graph(None)["s3_endpoint"].packages == ""
    own, packages = endpoint.policy["Statement"]
    assert own["Resource"] == [endpoint.bucket.arn, f"{endpoint.bucket.arn}/*"]
    assert own["Condition"] == {"StringEquals": {"aws:PrincipalAccount": "123456789012"}}
    bucket = f"arn:aws:s3:::{endpoint.packages}/*"
    assert (packages["Action"], packages["Resource"]) == ("s3:GetObject", bucket)


def test_no_secret_is_for_the_role_that_users_talk_to_and_no_host_signs_certificates():
    graph = Account.graph(None)
    server, mlflow = (
        f"arn:aws:iam::123456789012:role/{graph[name].role_name}"
        for name in ("server_role", "artifacts_role")
    )
    secrets = {one.name: one for one in graph if one.kind == "secret"}
    assert len(secrets) == 5
    assert all(mlflow in one.strangers for one in secrets.values())
    assert {name for name, one in secrets.items() if server in one.strangers} == {"secret_tls_ca"}
    assert {one.readers for name, one in secrets.items() if name != "secret_tls_ca"} == {(server,)}


def test_user_data_is_cloud_config_that_shows_the_host_keys():
    text = rendering.user_data("team")
    assert text.startswith("#cloud-config\n")
    assert yaml.safe_load(text)["ssh"] == {"emit_keys_to_console": True}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(stream, clock):
    graph = Account.graph(None)
    changes = tuple(Change(one, "create") for one in graph if not one.looked_up)
    plan = Plan(graph=graph, changes=changes, state=State())
    vpc, database = graph["network"], graph["database"]
    with progress.show(plan, clock, stream) as show:
        show.on_event(Event(graph["zones"], "started", "looked up"))
        show.on_event(Event(vpc, "started", "create"))
        show.on_event(Event(database, "started", "create"))
        show.on_event(Event(database, "waiting", "flowstead is creating"))
        show.on_event(Event(database, "waiting", "flowstead is creating"))
        clock.sleep(200)
        show.on_event(Event(vpc, "done"))
        show.on_event(Event(database, "failed", "AWS said no"))
        if isinstance(show, progress.LiveProgress):
            show._live.refresh()
    return stream.getvalue()


def test_plain_lines_where_there_is_no_terminal():
    assert shown(io.StringIO(), Clock()).splitlines() == [
        "database database: flowstead is creating",
        "VPC network: created (3 min 20 s)",
        "database database: failed: AWS said no",
    ]


def test_a_terminal_shows_what_waits_on_what_and_the_time(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("LINES", "40")
    monkeypatch.setenv("TERM", "xterm")
    text = shown(Terminal(), Clock())
    assert "VPC network: created (3 min 20 s)" in text
    assert "instance server" in text
    assert "waits for" in text
    assert "2 of 26 done" in text


def test_a_small_terminal_keeps_the_last_line_in_sight(monkeypatch):
    monkeypatch.setenv("LINES", "12")
    monkeypatch.setenv("TERM", "xterm")
    assert "2 of 26 done" in shown(Terminal(), Clock())


def test_a_line_about_something_else_stands_alone_above_the_table(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    stream, graph = Terminal(), Account.graph(None)
    monkeypatch.setattr(sys, "stderr", stream)
    plan = Plan(graph=graph, changes=(Change(graph["network"], "create"),), state=State())
    with progress.show(plan, Clock()) as show:
        show.on_event(Event(graph["network"], "started", "create"))
        show._live.refresh()
        thread = threading.Thread(target=Session.say, args=(None, "EC2 has not answered"))
        thread.start()
        thread.join()
    erase_line = "\x1b[2K"
    assert f"{erase_line}EC2 has not answered\n" in stream.getvalue()


def test_times_are_written_as_people_read_them():
    assert [progress.elapsed(one) for one in (0.4, 59.6, 61, 3600)] == [
        "0 s",
        "1 min 0 s",
        "1 min 1 s",
        "60 min 0 s",
    ]
