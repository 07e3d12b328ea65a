"""A registered model that is served, asked as its users do: with a login, once or all the while."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import requests
from deployed import ask

FLOWER = {"dataframe_split": {"columns": ["a", "b", "c", "d"], "data": [[5.1, 3.5, 1.4, 0.2]]}}


def predicted(client: Mapping[str, str], name: str) -> tuple[int, object]:
    """Ask a model once.

    Returns:
        HTTP's status, and what it predicts or, where that is none, says.

    """
    status, body = ask(client, f"/models/{name}/invocations", method="POST", body=FLOWER)
    try:
        return status, json.loads(body).get("predictions")
    except ValueError:
        return status, body.decode(errors="replace")


@dataclass
class Asked:
    """What was answered: how often with which status and prediction; errors by their texts."""

    answers: Counter[tuple[int, str]] = field(default_factory=Counter)

    @property
    def failed(self) -> list[tuple[int, str]]:
        """What was no prediction."""
        return [one for one in self.answers if one[0] != 200]


@contextmanager
def asking(client: Mapping[str, str], name: str) -> Iterator[Asked]:
    """Ask a model without a pause, by one client that keeps its connection and one that never does."""
    asked, over = Asked(), threading.Event()
    url = f"{client['MLFLOW_TRACKING_URI']}/models/{name}/invocations"
    login = client["MLFLOW_TRACKING_USERNAME"], client["MLFLOW_TRACKING_PASSWORD"]

    def go_on(headers: dict[str, str]) -> None:
        with requests.Session() as session:
            session.auth, session.verify = login, client["MLFLOW_TRACKING_SERVER_CERT_PATH"]
            # Nothing of the caller's environment.
            session.trust_env = False
            while not over.is_set():
                try:
                    answer = session.post(url, json=FLOWER, headers=headers, timeout=30)
                    key = (answer.status_code, str(answer.json().get("predictions")))
                except (requests.RequestException, ValueError) as error:
                    key = (0, str(error))
                asked.answers[key] += 1
                time.sleep(0.005)

    threads = [threading.Thread(target=go_on, args=[how]) for how in ({}, {"Connection": "close"})]
    for thread in threads:
        thread.start()
    try:
        yield asked
    finally:
        over.set()
        for thread in threads:
            thread.join()
