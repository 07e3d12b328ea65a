"""The container image as a user builds, pushes and runs it: `provision.py image`, podman, a client."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from deployed import BIN, run, until
from pushing import CLIENT, INDEX_PASSWORD, REPOSITORY, Pushed

pytestmark = pytest.mark.timeout(1200)

LOGINS = ("pip.conf", ".pgpass", "auth.json", ".docker/config.json")
HARDENED = ("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges")


@dataclass(frozen=True)
class Running:
    """A container that serves, and where."""

    pushed: Pushed
    name: str
    url: str

    def secret(self, name: str) -> str:
        return self.pushed.podman("exec", self.name, "cat", f"/data/secrets/{name}")

    def client(self, program: str) -> str:
        own = {
            "MLFLOW_TRACKING_URI": self.url,
            "MLFLOW_TRACKING_USERNAME": "admin",
            "MLFLOW_TRACKING_PASSWORD": self.secret("MLFLOW_AUTH_ADMIN_PASSWORD"),
            "PATH": f"{BIN}:/usr/bin:/bin",
            "HOME": self.pushed.environment["HOME"],
        }
        return run("python", "-c", program, cwd=self.pushed.deployment.clone, env=own).stdout


@pytest.fixture
def running(pushed: Pushed) -> Iterator[Running]:
    """Run the image as it should be run: read-only, as nobody, with a volume for the data."""
    name = "flowstead-test-image"
    pushed.podman("rm", "--force", "--ignore", "--time", "0", name)
    pushed.podman("volume", "rm", "--force", name)
    published = ("--publish", "127.0.0.1::5000", "--volume", f"{name}:/data:U")
    pushed.podman("run", "--detach", "--name", name, *HARDENED, *published, pushed.image)
    port = pushed.podman("port", name, "5000").rpartition(":")[2]
    try:
        until(lambda: healthy(pushed, name), "a healthy container", timeout_s=120)
        yield Running(pushed, name, f"http://127.0.0.1:{port}")
    finally:
        pushed.podman("rm", "--force", "--ignore", "--time", "0", name)
        pushed.podman("volume", "rm", "--force", name)


def healthy(pushed: Pushed, name: str) -> bool:
    """Ask the image's own health check."""
    return "unhealthy" not in pushed.podman("healthcheck", "run", name, check=False).strip() and (
        pushed.podman("inspect", "--format", "{{.State.Health.Status}}", name) == "healthy"
    )


def test_it_is_in_the_repository_as_it_says(pushed: Pushed) -> None:
    ecr = pushed.deployment.sandbox.client("ecr")
    (found,) = ecr.describe_images(repositoryName=REPOSITORY)["imageDetails"]
    assert found["imageTags"] == [pushed.data["tag"]]
    assert found["imageDigest"] == pushed.data["digest"]
    assert pushed.data["was_there"] is False
    assert pushed.data["tag"].startswith("3.17.2-")


def test_pushed_again_it_is_there_already(pushed: Pushed) -> None:
    calls = len(pushed.deployment.sandbox.calls())
    said = pushed.provision("image").stdout
    assert "Nothing to do, it is there already" in said
    later = [call["action"] for call in pushed.deployment.sandbox.calls()[calls:]]
    assert "GetAuthorizationToken" not in later
    assert "DescribeImages" in later


def test_one_that_is_gone_from_this_machine_is_pulled_and_is_the_same(pushed: Pushed, tmp_path: Path) -> None:
    before = pushed.inspected()["Id"]
    pushed.podman("rmi", "--force", pushed.image)
    pushed.podman("rmi", "--force", f"localhost/flowstead-mlflow:{pushed.data['tag']}")
    ca, own = tmp_path / "certs", tmp_path / "auth.json"
    ca.mkdir()
    own.write_text("{}", encoding="utf-8")
    (ca / "ca.crt").write_bytes(Path(pushed.environment["AWS_CA_BUNDLE"]).read_bytes())
    trust = ("--cert-dir", str(ca), "--authfile", str(own))
    assert "unauthorized" in pushed.podman("pull", *trust, pushed.image, check=False).lower()
    (data,) = pushed.deployment.sandbox.client("ecr").get_authorization_token()["authorizationData"]
    password = base64.b64decode(data["authorizationToken"]).decode().partition(":")[2]
    host = pushed.image.partition("/")[0]
    login = ("podman", "login", *trust, "--username", "AWS", "--password-stdin", host)
    run(*login, cwd=tmp_path, env=pushed.environment, text=password)
    pushed.podman("pull", *trust, pushed.image)
    assert pushed.inspected()["Id"] == before


def test_its_labels_say_what_is_in_it_and_it_is_nobodys_machine(pushed: Pushed) -> None:
    config = pushed.inspected()["Config"]
    assert config["Labels"]["org.opencontainers.image.version"] == "3.17.2"
    assert config["Labels"]["flowstead.lock"] == f"sha256:{pushed.data['lock']}"
    assert config["User"] == "10001:10001"
    assert "health" in pushed.inspected()["Healthcheck"]["Test"]
    where = config["Labels"]["flowstead.bill-of-materials"]
    bill = json.loads(pushed.podman("run", "--rm", "--entrypoint", "cat", pushed.image, where))
    listed = {(one["name"], one["version"]) for one in bill["components"]}
    code = (
        "import importlib.metadata as m, json, re;"
        "print(json.dumps([[re.sub('[-_.]+', '-', d.name).lower(), d.version] for d in m.distributions()]))"
    )
    python = "/opt/mlflow/releases/3.17.2/bin/python"
    there = json.loads(pushed.podman("run", "--rm", "--entrypoint", python, pushed.image, "-I", "-c", code))
    assert {tuple(one) for one in there} == listed


def test_no_layer_and_no_word_of_its_history_has_a_secret(pushed: Pushed, tmp_path: Path) -> None:
    saved = tmp_path / "image.tar"
    pushed.podman("save", "--format", "docker-archive", "--output", str(saved), pushed.image)
    environment = pushed.environment
    wanted = [
        INDEX_PASSWORD,
        environment["AWS_ACCESS_KEY_ID"],
        environment["AWS_SECRET_ACCESS_KEY"],
        *pushed.deployment.sandbox.secrets().values(),
    ]
    needles = [one.encode() for one in wanted]
    needles += [base64.b64encode(one)[:-4] for one in needles]
    layers = files = 0
    with tarfile.open(saved) as archive:
        for member in archive:
            opened = archive.extractfile(member) if member.isfile() else None
            content = opened.read() if opened else b""
            assert not [one for one in needles if one in content], member.name
            # A layer that is there already is a link.
            if opened is None or not member.name.endswith(".tar"):
                continue
            layers += 1
            with tarfile.open(fileobj=io.BytesIO(content)) as layer:
                for file in layer:
                    files += file.isfile()
                    # The base has one of its own, without a word of ours.
                    named = file.name.removeprefix("./")
                    assert named == "etc/pip.conf" or not named.endswith(LOGINS), named
    assert layers >= 2
    assert files > 10_000
    print(f"{layers} layers, {files} files")


def test_read_only_and_as_nobody_it_serves_a_login_and_keeps_a_run(running: Running) -> None:
    assert running.client(CLIENT).split("\n")[-3:-1] == ["0.5", "logged in a container"]
    probe = f"{running.url}/api/2.0/mlflow/experiments/get?experiment_id=0"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(probe)  # noqa: S310 - our own address
    assert refused.value.code == 401
    inside = "id -u; touch /opt/x /etc/x /usr/local/lib/flowstead/x 2>&1 | grep -c 'Read-only file system'"
    assert running.pushed.podman("exec", running.name, "sh", "-c", inside).split() == ["10001", "3"]


def test_stopped_and_started_it_has_its_runs_and_its_password(running: Running) -> None:
    running.client(CLIENT)
    password = running.secret("MLFLOW_AUTH_ADMIN_PASSWORD")
    running.pushed.podman("stop", "--time", "60", running.name)
    assert running.pushed.podman("inspect", "--format", "{{.State.ExitCode}}", running.name) == "0"
    running.pushed.podman("start", running.name)
    until(lambda: healthy(running.pushed, running.name), "a healthy container", timeout_s=120)
    assert running.secret("MLFLOW_AUTH_ADMIN_PASSWORD") == password
    port = running.pushed.podman("port", running.name, "5000").rpartition(":")[2]
    again = Running(running.pushed, running.name, f"http://127.0.0.1:{port}")
    count = "import mlflow; print(len(mlflow.search_runs(experiment_names=['container'])))"
    assert again.client(count).strip() == "1"


def test_no_secret_is_in_what_it_says(running: Running) -> None:
    running.client(CLIENT)
    said = running.pushed.podman("logs", running.name, check=False)
    said += running.pushed.podman("inspect", running.name)
    names = running.pushed.podman("exec", running.name, "ls", "/data/secrets").split()
    assert len(names) == 4
    assert [name for name in names if running.secret(name) in said] == []


def test_what_it_cannot_do_it_says_in_a_sentence(pushed: Pushed) -> None:
    of_nobody = ("--user", "12345", *HARDENED)
    said = pushed.podman("run", "--rm", *of_nobody, pushed.image, check=False)
    assert "/data is not writable for the container's user 12345" in said
    assert "Traceback" not in said
    server = ("--env", "MLFLOW_BACKEND_STORE_URI=postgresql+psycopg2://mlflow@db/mlflow")
    server += ("--env", "FLOWSTEAD_LOGINS_URI=postgresql+psycopg2://mlflow@db/mlflow_auth")
    said = pushed.podman("run", "--rm", *server, pushed.image, check=False)
    assert "give each as a file of that name in /run/secrets" in said
    assert "Traceback" not in said
