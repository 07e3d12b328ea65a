"""Says from which address a caller is seen, like https://checkip.amazonaws.com."""

from __future__ import annotations

from sandbox.web import HttpRequest, HttpResponse


def answer(request: HttpRequest) -> HttpResponse:
    """Answer with the caller's address and a line feed.

    Args:
        request: any request.

    Returns:
        The response.
    """
    return HttpResponse(200, [("Content-Type", "text/plain")], f"{request.peer}\n".encode())
