"""AWS that does not answer: what a person is told, and when trying ends. Real servers, botocore's calls."""

import contextlib
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from provisioner.aws import Aws
from provisioner.errors import AwsError
from tests.unit.provisioner.moto_account import REGION, Clock

OK = b"<DescribeVpcsResponse><vpcSet/></DescribeVpcsResponse>"
THROTTLED = b"<Response><Errors><Error><Code>RequestLimitExceeded</Code></Error></Errors></Response>"


class Listener:
    """What listens where EC2 should be.

    Args:
        backlog: connections that the kernel completes before anybody accepts them.

    """

    def __init__(self, backlog: int) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.connections: list[socket.socket] = []
        self.accepting = threading.Thread()

    @property
    def address(self) -> tuple[str, int]:
        address: tuple[str, int] = self.socket.getsockname()
        return address

    def accept(self, answer: Callable[[socket.socket], None] = lambda _: None) -> None:
        """Take connections from now on.

        Args:
            answer: what is done with one.

        """

        def run() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = self.socket.accept()
                    self.connections.append(connection)
                    answer(connection)

        self.accepting = threading.Thread(target=run, daemon=True)
        self.accepting.start()

    def close(self) -> None:
        # A thread that waits in accept() keeps the socket alive, closed or not.
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        # One that it has just taken is in the list only then, and would stay open.
        if self.accepting.is_alive():
            self.accepting.join(5)
        for connection in self.connections:
            connection.close()


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    # The kernel completes one connection more than the backlog says.
    opened = Listener(0)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*opened.address))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    yield opened
    opened.close()


@pytest.fixture
def said() -> queue.SimpleQueue[str]:
    return queue.SimpleQueue()


@pytest.fixture
def aws(said: queue.SimpleQueue[str]) -> Aws:
    return Aws(REGION, clock=Clock(), say=said.put)


def begin(aws: Aws, ask: Callable[[Aws], Any]) -> threading.Thread:
    """Ask AWS in a thread; gives it once the call is under way."""

    def run() -> None:
        with contextlib.suppress(AwsError):
            ask(aws)

    under_way = threading.Event()
    for client in (aws.client("ec2"), aws.client("ec2", tries=1)):
        client.meta.events.register("before-send", lambda **_: under_way.set())
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert under_way.wait(10)
    return thread


def end(aws: Aws, listener: Listener, *threads: threading.Thread) -> None:
    """Break the connections, long after: nobody tries again."""
    aws._clock.sleep(1000)
    listener.close()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()


def describe(aws: Aws) -> object:
    return aws.call("ec2", "describe_vpcs")


ASKING: dict[str, Callable[[Aws], Any]] = {
    "call": describe,
    "call once": lambda aws: aws.call_once("ec2", "describe_vpcs"),
    "page": lambda aws: aws.page("ec2", "describe_vpcs", "Vpcs"),
    "wait": lambda aws: aws.wait("ec2", "vpc_available", deadline_s=5, VpcIds=["vpc-1"]),
}


@pytest.mark.parametrize("how", ASKING)
def test_a_service_that_accepts_and_never_answers_is_told_of(
    listener: Listener, aws: Aws, said: queue.SimpleQueue[str], how: str
) -> None:
    listener.accept()
    thread = begin(aws, ASKING[how])
    aws._clock.sleep(12)
    # The watch looks by itself.
    text = said.get(timeout=10)
    assert text.startswith("EC2 has not answered DescribeVpcs for 12 s; trying on, for up to 3 min in all.")
    assert REGION in text
    end(aws, listener, thread)


def test_a_service_that_never_accepts_is_told_of(
    listener: Listener, aws: Aws, said: queue.SimpleQueue[str]
) -> None:
    with socket.create_connection(listener.address):
        thread = begin(aws, describe)
        aws._clock.sleep(12)
        assert "EC2 has not answered DescribeVpcs for 12 s" in said.get(timeout=10)
        end(aws, listener, thread)


def test_a_call_that_is_refused_again_and_again_is_told_of(
    listener: Listener, aws: Aws, said: queue.SimpleQueue[str]
) -> None:
    told: list[str] = []

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        status, body = b"503 No", THROTTLED
        if len(listener.connections) == 2:
            aws._clock.sleep(12)
            told.append(said.get(timeout=10))
            status, body = b"200 OK", OK
        connection.sendall(b"HTTP/1.1 %s\r\nConnection: close\r\n\r\n%s" % (status, body))
        connection.shutdown(socket.SHUT_WR)
        # Closed with something unread, it would break off.
        while connection.recv(65536):
            pass

    listener.accept(answer)
    assert aws.page("ec2", "describe_vpcs", "Vpcs") == []
    (text,) = told
    assert text.startswith("EC2 refuses DescribeVpcs for now (RequestLimitExceeded); trying on")
    assert "proxy" not in text


def test_one_line_for_a_service_again_each_minute_and_none_once_it_has_ended(
    listener: Listener, aws: Aws, said: queue.SimpleQueue[str]
) -> None:
    listener.accept()
    threads = [begin(aws, describe) for _ in range(3)]
    for seconds, is_told in ((11, False), (1, True), (59, False), (1, True)):
        aws._clock.sleep(seconds)
        aws._watch.look()
        assert said.empty() is not is_told
        if is_told:
            assert "has not answered" in said.get()
        assert said.empty()
    end(aws, listener, *threads)
    while not said.empty():
        said.get()
    aws._clock.sleep(1000)
    aws._watch.look()
    assert said.empty()


def test_a_call_that_was_interrupted_is_not_told_of(
    listener: Listener, aws: Aws, said: queue.SimpleQueue[str]
) -> None:
    """botocore does not tell its listeners of an interrupt from the keyboard."""

    def interrupt(**_: object) -> None:
        raise KeyboardInterrupt

    listener.accept()
    for how in ("call", "page", "wait"):
        aws.client("ec2").meta.events.register("before-send", interrupt, unique_id="interrupt")
        with pytest.raises(KeyboardInterrupt):
            ASKING[how](aws)
        aws._clock.sleep(1000)
        aws._watch.look()
        assert said.empty()


def test_nothing_is_tried_again_after_a_minute_and_a_half(listener: Listener, aws: Aws) -> None:
    def answer(connection: socket.socket) -> None:
        aws._clock.sleep(60)
        connection.close()

    listener.accept(answer)
    with pytest.raises(AwsError, match="DescribeVpcs") as caught:
        describe(aws)
    assert caught.value.is_connection
    assert len(listener.connections) == 2
