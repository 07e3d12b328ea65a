from __future__ import annotations

import http.client
import socket

import pytest

from sandbox.web import HttpResponse, Listener


@pytest.fixture
def serve():
    """Serve an application; returns the port."""
    listeners = []

    def start(application):
        sock = socket.create_server(("127.0.0.1", 0))
        listeners.append(Listener(sock, application, origin="vpc-1"))
        listeners[-1].start()
        return sock.getsockname()[1]

    yield start
    for listener in listeners:
        listener.stop()


def echo(request):
    return HttpResponse(200, [("X-Origin", request.origin)], request.method.encode() + b" " + request.body)


def test_one_connection_carries_many_requests(serve):
    connection = http.client.HTTPConnection("127.0.0.1", serve(echo))
    connection.connect()
    used = connection.sock
    for method, body in (("GET", b""), ("PUT", b"x" * 100_000), ("POST", b"")):
        connection.request(method, "/", body=body)
        response = connection.getresponse()
        assert response.read() == method.encode() + b" " + body
        assert response.headers["X-Origin"] == "vpc-1"
        assert connection.sock is used


def test_chunked_bodies_are_read_to_their_end(serve):
    connection = http.client.HTTPConnection("127.0.0.1", serve(echo))
    for _ in range(2):
        connection.request("PUT", "/", body=iter([b"one", b"two"]), encode_chunked=True)
        assert connection.getresponse().read() == b"PUT onetwo"


def test_a_head_says_the_length_and_sends_nothing(serve):
    def application(_):
        return HttpResponse(200, [("Content-Length", "12345")], b"")

    connection = http.client.HTTPConnection("127.0.0.1", serve(application))
    connection.request("HEAD", "/")
    response = connection.getresponse()
    assert (response.headers["Content-Length"], response.read()) == ("12345", b"")


def test_a_client_that_waits_to_be_told_to_send_is_told_at_once(serve):
    with socket.create_connection(("127.0.0.1", serve(echo))) as sock:
        sock.settimeout(60)
        sock.sendall(b"PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert sock.recv(100).startswith(b"HTTP/1.1 100")
        sock.sendall(b"ab")
        assert b"PUT ab" in sock.recv(1000)


def test_no_answer_closes_the_connection(serve):
    connection = http.client.HTTPConnection("127.0.0.1", serve(lambda _: None))
    connection.request("GET", "/")
    with pytest.raises(http.client.RemoteDisconnected):
        connection.getresponse()
