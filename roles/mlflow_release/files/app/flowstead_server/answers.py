"""What every answer gets on its way out: a policy for browsers, guarded cookies, no word of the bucket."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flowstead_server.asgi import App, Message, Receive, Scope, Send

# MLflow's page shows HTML that was logged, such as Plotly's figures, in a frame that it makes: kept apart,
# with the page's policy. So scripts within a page are allowed, and the addresses of Plotly and an editor.
_CDN = "https://cdn.jsdelivr.net/npm/"
_PAGE = "; ".join(
    [
        "default-src 'self'",
        f"script-src 'self' 'unsafe-inline' 'unsafe-eval' blob: https://cdn.plot.ly {_CDN}",
        f"style-src 'self' 'unsafe-inline' {_CDN}",
        f"font-src 'self' data: {_CDN}",
        "img-src 'self' data: blob: https:",
        "media-src 'self' data: blob:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "frame-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    ]
)
# The first that fits. Notebooks show MLflow's trace renderer in a frame; a file that was logged is no page.
_POLICIES = (
    (re.compile(r"/static-files/lib/notebook-trace-renderer/.*"), _PAGE),
    (
        re.compile(r".*(/mlflow-artifacts/artifacts/.*|-artifact|/artifacts/files)"),
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
    ),
    (re.compile(r".*", re.DOTALL), f"{_PAGE}; frame-ancestors 'self'"),
)


class Answers:
    """Puts answers right.

    Args:
        app: what answers.
        destination: bucket and prefix of the artifacts, which clients know as `mlflow-artifacts:`.

    """

    def __init__(self, app: App, destination: str) -> None:
        self._app = app
        place = destination.rstrip("/").encode()
        bucket = place.partition(b"://")[2].partition(b"/")[0]
        names = (
            (rb"%s(?![\w-])/?", place, b"mlflow-artifacts:/"),
            (rb"(?<![\w.-])%s(?![\w-])", bucket, b"BUCKET"),
        )
        self._hidden = [
            (re.compile(form % re.escape(name)), instead) for form, name, instead in names if name
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        policy = next(policy for path, policy in _POLICIES if path.fullmatch(scope["path"]))
        held: list[Message] = []

        async def put_right(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [_guarded(name, value) for name, value in message.get("headers", [])]
                message = {**message, "headers": [*headers, (b"content-security-policy", policy.encode())]}
                # What went wrong is told whole, in few words.
                if message["status"] >= 400:  # noqa: PLR2004
                    held.append(message)
                    return
            elif held:
                held.append(message)
                if message.get("more_body", False):
                    return
                for one in self._without_names(held):
                    await send(one)
                return
            await send(message)

        await self._app(scope, receive, put_right)

    def _without_names(self, held: Sequence[Message]) -> list[Message]:
        start, *rest = held
        body = b"".join(message.get("body", b"") for message in rest)
        text = body
        for pattern, instead in self._hidden:
            text = pattern.sub(instead, text)
        if text != body:
            headers = [item for item in start["headers"] if item[0].lower() != b"content-length"]
            start = {**start, "headers": [*headers, (b"content-length", str(len(text)).encode())]}
        return [start, {"type": "http.response.body", "body": text}]


def _guarded(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """Have a cookie sent by the server's own pages only, and never in the clear."""
    if name.lower() == b"set-cookie":
        said = {part.partition(b"=")[0].strip().lower() for part in value.split(b";")[1:]}
        value += b"; Secure" * (b"secure" not in said) + b"; SameSite=Lax" * (b"samesite" not in said)
    return name, value
