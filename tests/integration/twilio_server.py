"""A stand-in for Twilio on loopback: takes messages as its API does, answers as its script says.

`running_twilio()` runs it in threads, for tests in the same process and for a daemon as a process
of its own. Messages that it made are in `made`, one per resource, whatever was answered. What
Twilio would send to our webhooks, signed as it signs, is made by `signed_request`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from orchestrator.domain.segments import size_of

SID: Final = "AC" + "0123456789abcdef" * 2
TOKEN: Final = "auth-token-of-the-tests"
SERVICE: Final = "MG" + "0123456789abcdef" * 2


@dataclass(frozen=True)
class Answer:
    """What happens to one request, in place of a message made and 201."""

    status: int = 201
    document: Mapping[str, Any] | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    after: float = 0.0  # seconds
    cut: bool = False  # hang up in place of an answer
    unread: bool = False  # hang up before the body has been read
    makes: bool | None = None  # whether the message is made; None: if the status says so


def refusal(status: int, code: int, message: str = "no", **headers: str) -> Answer:
    """An error as Twilio tells it."""
    document = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return Answer(
        status, document, {name.replace("_", "-"): text for name, text in headers.items()}
    )


@dataclass
class TwilioServer:
    """Its script and its memory; requests are answered on threads."""

    answers: deque[Answer] = field(default_factory=deque)
    made: list[dict[str, str]] = field(default_factory=list)
    requests: int = 0
    connections: int = 0
    agents: set[str] = field(default_factory=set)
    port: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def provider_url(self, **options: str) -> str:
        """The `twilio://` address that leads here."""
        query = urlencode({"from": "+15005550006", "base_url": self.url, **options})
        return f"twilio://{SID}:{TOKEN}@default?{query}"

    def will(self, *answers: Answer) -> None:
        """Script the next requests."""
        self.answers.extend(answers)

    def next_answer(self) -> Answer | None:
        with self._lock:
            self.requests += 1
            return self.answers.popleft() if self.answers else None

    def make(self, form: dict[str, str]) -> dict[str, Any]:
        """A message resource, as the API answers it."""
        with self._lock:
            self.made.append(form)
            number = len(self.made)
        size = size_of(form["Body"])
        return {
            "account_sid": SID,
            "api_version": "2010-04-01",
            "body": form["Body"],
            "date_created": "Fri, 20 Nov 2026 08:00:00 +0000",
            "date_sent": None,
            "date_updated": "Fri, 20 Nov 2026 08:00:00 +0000",
            "direction": "outbound-api",
            "error_code": None,
            "error_message": None,
            "from": form.get("From"),
            "messaging_service_sid": form.get("MessagingServiceSid"),
            "num_media": "0",
            "num_segments": "0" if "MessagingServiceSid" in form else str(size.segments),
            "price": None,
            "price_unit": "USD",
            "sid": f"SM{number:032x}",
            "status": "accepted" if "MessagingServiceSid" in form else "queued",
            "subresource_uris": {"media": f"/2010-04-01/Accounts/{SID}/Messages/x/Media.json"},
            "to": form["To"],
            "uri": f"/2010-04-01/Accounts/{SID}/Messages/x.json",
        }


class _Talk(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.twilio.connections += 1

    def do_POST(self) -> None:
        twilio = self.server.twilio
        answer = twilio.next_answer() or Answer()
        if answer.unread:
            self._hang_up()
            return
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        form = dict(parse_qsl(body, keep_blank_values=True))
        twilio.agents.add(self.headers["user-agent"])
        problem = self._problem(form)
        makes = answer.status < 300 if answer.makes is None else answer.makes
        made = twilio.make(form) if makes and problem is None else None
        time.sleep(answer.after)
        if answer.cut:
            self._hang_up()
        elif problem is not None:
            self._say(problem.status, problem.document, {})
        else:
            told = answer.document
            document = told if isinstance(told, str) else {**(made or {}), **(told or {})}
            self._say(answer.status, document, answer.headers)

    def _problem(self, form: Mapping[str, str]) -> Answer | None:
        """What the API itself refuses."""
        basic = base64.b64encode(f"{SID}:{TOKEN}".encode()).decode()
        if self.headers.get("authorization") != f"Basic {basic}":
            return refusal(401, 20003, "Authenticate")
        if self.path != f"/2010-04-01/Accounts/{SID}/Messages.json":
            return refusal(404, 20404, f"The requested resource {self.path} was not found")
        if not form.get("To"):
            return refusal(400, 21604, "A 'To' phone number is required.")
        if not form.get("From") and not form.get("MessagingServiceSid"):
            return refusal(400, 21603, "A 'From' phone number is required.")
        if not form.get("Body"):
            return refusal(400, 21602, "Message body is required.")
        if len(form["Body"]) > 1600:
            return refusal(400, 21617, "The concatenated message body exceeds 1600 characters.")
        return None

    def _say(self, status: int, document: Any, headers: Mapping[str, str]) -> None:
        body = (document if isinstance(document, str) else json.dumps(document)).encode()
        self.send_response(status)
        for name, text in headers.items():
            self.send_header(name, text)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _hang_up(self) -> None:
        """At once: what has not been read is refused (RST)."""
        now = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
        self.close_connection = True
        self.wfile.close()
        self.rfile.close()
        self.connection.close()

    def log_message(self, *_arguments: Any) -> None:
        """Nothing is printed."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    twilio: TwilioServer

    def handle_error(self, *_arguments: Any) -> None:
        """A client that goes away is part of what is tested."""


@contextmanager
def running_twilio() -> Iterator[TwilioServer]:
    server = _Server(("127.0.0.1", 0), _Talk)
    server.twilio = TwilioServer(port=server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
    thread.start()
    try:
        yield server.twilio
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def signature(url: str, form: Mapping[str, str], token: str = TOKEN) -> str:
    """X-Twilio-Signature: HMAC-SHA-1 of the URL and the sorted parameters, in base64."""
    said = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.digest(token.encode(), said.encode(), hashlib.sha1)).decode()


def signed_request(
    url: str, form: Mapping[str, str], token: str = TOKEN
) -> tuple[dict[str, str], bytes]:
    """Headers and body of a webhook as Twilio sends it."""
    headers = {
        "content-type": "application/x-www-form-urlencoded; charset=UTF-8",
        "x-twilio-signature": signature(url, form, token),
        "user-agent": "TwilioProxy/1.1",
    }
    return headers, urlencode(form).encode()


def inbound(text: str, number: str = "+358401234567", **more: str) -> dict[str, str]:
    """The form of a text message that somebody sent to us."""
    return {
        "ToCountry": "US",
        "MessageSid": "SM" + hashlib.md5(f"{text}{number}{more}".encode()).hexdigest(),
        "AccountSid": SID,
        "NumMedia": "0",
        "NumSegments": "1",
        "FromCountry": "FI",
        "From": number,
        "To": "+15005550006",
        "Body": text,
        "ApiVersion": "2010-04-01",
        **more,
    }
