"""A person with a browser: through the login to the runs that the examples made.

FLOWSTEAD_SCREENSHOTS=docs/images also renews the pictures that README and docs show.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import shutil
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from deployed import PROJECT, run
from playwright.sync_api import Browser, Error, Page, TimeoutError, expect, sync_playwright  # noqa: A004 - its own

pytestmark = pytest.mark.timeout(1800)

# Debian's Chromium, as root in a machine without a screen, and without calls home.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]
# MLflow opens an assistant beside everything at the first visit.
CLOSE_THE_ASSISTANT = """
localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true');
localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false');
"""
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)


def pinned_key(url: str, ca_file: str) -> str:
    """The hash of the server's public key, after its certificate was checked against the CA."""
    parts = urlsplit(url)
    address = (str(parts.hostname), parts.port or 443)
    context = ssl.create_default_context(cafile=ca_file)
    with (
        socket.create_connection(address, timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=address[0]) as tls,
    ):
        certificate = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


@pytest.fixture(scope="module")
def browser(client_environment: dict[str, str]) -> Iterator[Browser]:
    """A browser that trusts the server's own key and no other that is not certified."""
    program = shutil.which("chromium")
    assert program, "Debian's chromium is missing: scripts/setup browser"
    key = pinned_key(
        client_environment["MLFLOW_TRACKING_URI"], client_environment["MLFLOW_TRACKING_SERVER_CERT_PATH"]
    )
    flags = [*FLAGS, f"--ignore-certificate-errors-spki-list={key}"]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=flags, timeout=PATIENCE_MS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, client_environment: dict[str, str]) -> Iterator[Page]:
    """A page of somebody who is logged in; at its end, no request to the server may have failed."""
    context = browser.new_context(
        base_url=client_environment["MLFLOW_TRACKING_URI"],
        viewport={"width": 1440, "height": 900},
        http_credentials={
            "username": client_environment["MLFLOW_TRACKING_USERNAME"],
            "password": client_environment["MLFLOW_TRACKING_PASSWORD"],
        },
    )
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(CLOSE_THE_ASSISTANT)
    refused: list[str] = []
    page = context.new_page()
    page.on(
        "console",
        lambda line: refused.append(line.text) if "Content Security Policy" in line.text else None,
    )
    page.on(
        "response",
        lambda answer: refused.append(f"{answer.status} {answer.url}") if answer.status >= 400 else None,
    )
    page.on("pageerror", lambda error: print(f"error in the page: {error}"))
    page.on("requestfailed", lambda request: print(f"not answered: {request.url}: {request.failure}"))
    yield page
    context.close()
    # The browser sends the login only after it was asked for it once.
    assert [line for line in refused if not line.startswith("401 ")] == []


def open_runs(page: Page, experiment: str) -> None:
    """Go from the start page to an experiment's runs by clicking."""
    page.goto("/")
    page.get_by_text("Model training", exact=True).click()
    page.get_by_role("link", name="Experiments", exact=True).first.click()
    # The start page lists experiments, too: wait until it has gone.
    expect(page.get_by_role("button", name="Create", exact=True)).to_be_visible()
    page.get_by_role("link", name=experiment, exact=True).first.click()
    page.get_by_role("link", name="Runs", exact=True).first.click()


def open_run(page: Page, experiment: str, run_name: str) -> None:
    """Go from the start page to a run by clicking."""
    open_runs(page, experiment)
    run = page.get_by_role("link", name=run_name).first
    try:
        run.wait_for(timeout=PATIENCE_MS / 2)
    except TimeoutError:
        # On a busy machine MLflow's page was seen to stay empty at /experiments/N: a person would reload it.
        page.reload()
    run.click()
    expect(page.get_by_role("heading", name=run_name)).to_be_visible()


def picture(page: Page, name: str) -> None:
    """Renew a picture, if that is asked for."""
    if folder := os.environ.get("FLOWSTEAD_SCREENSHOTS"):
        page.evaluate("document.activeElement.blur()")
        page.screenshot(path=PROJECT / folder / name)


def test_nobody_gets_in_without_a_login(browser: Browser, client_environment: dict[str, str]) -> None:
    context = browser.new_context()
    with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
        context.new_page().goto(client_environment["MLFLOW_TRACKING_URI"])
    context.close()


def test_nobody_gets_in_with_a_wrong_password(browser: Browser, client_environment: dict[str, str]) -> None:
    context = browser.new_context(http_credentials={"username": "admin", "password": "not-the-password"})
    answer = context.new_page().goto(client_environment["MLFLOW_TRACKING_URI"])
    assert answer
    assert answer.status == 401
    context.close()


@pytest.mark.usefixtures("example_output")
def test_the_metric_and_its_chart_are_seen(page: Page) -> None:
    open_run(page, "first-steps", "halving")
    expect(page.get_by_role("row", name="loss 0.2")).to_be_visible()
    expect(page.get_by_role("row", name="learning_rate 0.5")).to_be_visible()
    page.get_by_role("tab", name="Model metrics").click()
    expect(page.locator(".js-plotly-plot .points path")).to_have_count(3)


@pytest.mark.usefixtures("example_output")
def test_an_artifact_can_be_read(page: Page) -> None:
    open_run(page, "first-steps", "halving")
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("report", exact=True).click()
    page.get_by_text("notes.txt", exact=True).click()
    expect(page.get_by_text("The loss halves at every step.")).to_be_visible()


@pytest.mark.usefixtures("example_output")
def test_a_figure_that_was_logged_as_html_is_drawn(
    page: Page, client_environment: dict[str, str], tmp_path: Path
) -> None:
    """Its script runs, in a frame of its own; the policy that every answer has lets it."""
    program = """
import mlflow
mlflow.set_experiment("figures")
with mlflow.start_run(run_name="drawn"):
    script = "<script>figure.textContent = 'drawn by a script'</script>"
    mlflow.log_text("<p id='figure'>empty</p>" + script, "figure.html")
"""
    run("python", "-c", program, cwd=tmp_path, env=client_environment)
    open_run(page, "figures", "drawn")
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("figure.html", exact=True).first.click()
    expect(page.frame_locator("iframe").get_by_text("drawn by a script")).to_be_visible()


@pytest.mark.usefixtures("example_output")
def test_a_training_shows_its_accuracy_and_the_model_registered_from_it(page: Page) -> None:
    open_run(page, "iris", "logistic-regression")
    expect(page.get_by_role("row", name="accuracy 0.9")).to_be_visible()
    link = page.get_by_role("link", name="iris-classifier").first
    expect(link).to_be_visible()
    picture(page, "run.png")
    page.goto("/#/models/iris-classifier")
    expect(page.get_by_role("link", name=re.compile(r"^Version \d+$")).first).to_be_visible()
    expect(page.get_by_text("champion").first).to_be_visible()


@pytest.mark.usefixtures("example_output")
def test_runs_are_compared_by_parameter_and_metric(page: Page) -> None:
    open_runs(page, "compared")
    for strength in ("0.0001", "0.01", "1.0"):
        expect(page.get_by_role("link", name=f"C={strength}", exact=True).first).to_be_visible()
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_text(re.compile(r"Comparing \d+ Runs from 1 Experiment"))).to_be_visible()
    expect(page.locator(".js-plotly-plot .parcoords").first).to_be_visible()
    expect(page.get_by_role("cell", name="0.0001", exact=True).first).to_be_attached()
    expect(page.get_by_text("training_accuracy_score", exact=True).first).to_be_attached()
    picture(page, "compare_runs.png")


@pytest.mark.usefixtures("example_output")
def test_a_change_made_in_the_browser_is_kept(page: Page) -> None:
    note = "Seen by a person."
    open_run(page, "first-steps", "halving")
    page.get_by_role("button", name="Edit description").click()
    page.locator("textarea").first.fill(note)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text(note)).to_be_visible()
    page.reload()
    # On a busy machine MLflow's page once stumbled over being loaded anew, with no request refused:
    # a person loads it again.
    stumbled = page.get_by_role("heading", name="Something went wrong")
    expect(page.get_by_text(note).or_(stumbled).first).to_be_visible()
    if stumbled.is_visible():
        page.reload()
    expect(page.get_by_text(note)).to_be_visible()
