from __future__ import annotations

import ast
import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from orchestrator.observability import METRICS, PrometheusMetrics, Redactor, configure_logging
from orchestrator.observability.metrics import Kind
from orchestrator.ports import DueCounts

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SECRET = "s3cr3t-v4lue"


@pytest.fixture
def _logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before
    structlog.reset_defaults()


@pytest.fixture
def log(_logging_restored: None) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(secrets=[SECRET], stream=stream)
    return stream


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("mail to ada@example.com failed", "mail to [email] failed"),
        ("<ada.l+news@mail.example.co.uk>,x", "<[email]>,x"),
        ("/find?email=ada%40example.com&a=1", "[email]&a=1"),
        ("åsa@exämple.fi", "[email]"),
        ("call +358 40 123 4567 now", "call [phone] now"),
        ("to=+15005550006", "to=[phone]"),
        ("0401234567 rang", "[phone] rang"),
        ("GET /u/abc.DEF-1_2~x HTTP/1.1", "GET /u/[redacted] HTTP/1.1"),
        ("https://m.example/preferences/tok/en?x", "https://m.example/preferences/[redacted]?x"),
        ("/login/17.nonce.mark", "/login/[redacted]"),
        ("smtp://user:pass@host:587", "smtp://[redacted]@host:587"),
        ("authorization: Bearer abc.def=", "authorization: Bearer [redacted]"),
        ("key whsec_c2VjcmV0+/=", "key [redacted]"),
        (f"it is {SECRET}!", "it is [redacted]!"),
        ("x [parameters: {'first_name': 'Ada'}]\nnext", "x [parameters: redacted]\nnext"),
    ],
)
def test_what_must_not_be_read_is_hidden(text: str, wanted: str) -> None:
    shown = Redactor([SECRET]).text(text)
    assert shown == wanted or shown.endswith(wanted)
    assert "ada" not in shown.lower()


@pytest.mark.parametrize(
    "text",
    [
        "018f3c5e-7a2b-7cde-9f00-0123456789ab",
        "02345678-1234-7890-9000-012345678901",
        "2026-11-20T12:00:00.000000Z",
        "/webhooks/standard",
        "took 0.0123456789 s",
        "sha 00b1c2d3",
        "GET /u HTTP/1.1",
    ],
)
def test_what_helps_an_operator_stays(text: str) -> None:
    assert Redactor([SECRET]).text(text) == text


def test_the_longer_of_two_secrets_leaves_no_rest() -> None:
    assert Redactor(["abcd", "abcdefgh"]).text("abcdefgh") == "[redacted]"


def test_values_are_hidden_by_the_name_they_are_logged_under() -> None:
    shown = Redactor().value(
        {
            "password": "x1",
            "api_key": "x2",
            "first_name": "Ada",
            "phone": 358401234567,
            "status": 200,
            "token": None,
            "nested": [{"email": "a"}, {"note": "b@c.example"}],
        }
    )
    assert shown == {
        "password": "[redacted]",
        "api_key": "[redacted]",
        "first_name": "[redacted]",
        "phone": "[redacted]",
        "status": 200,
        "token": None,
        "nested": [{"email": "[redacted]"}, {"note": "[email]"}],
    }


def test_a_log_line_is_json_with_its_fields(log: io.StringIO) -> None:
    logging.getLogger("orchestrator.x").info("stored %d", 3, extra={"source": "standard"})
    (line,) = log.getvalue().splitlines()
    fields = json.loads(line)
    assert fields["event"] == "stored 3"
    assert fields["level"] == "info"
    assert fields["source"] == "standard"
    assert fields["logger"] == "orchestrator.x"
    assert fields["at"].endswith("Z")


def test_structlog_and_logging_come_out_alike(log: io.StringIO) -> None:
    structlog.get_logger("x").info("hello", to="ada@example.com", note="to ada@example.com")
    fields = json.loads(log.getvalue())
    assert (fields["event"], fields["note"]) == ("hello", "to [email]")


def test_an_exception_shows_its_trace_but_no_address_and_no_secret(log: io.StringIO) -> None:
    def break_down() -> None:
        raise ValueError(f"no mailbox ada@example.com with {SECRET}")

    try:
        break_down()
    except ValueError:
        logging.getLogger("x").exception("failed for %s", "ada@example.com")
    text = log.getvalue()
    assert "ada@" not in text
    assert SECRET not in text
    fields = json.loads(text)
    assert "break_down" in fields["exception"]
    assert "ValueError: no mailbox [email] with [redacted]" in fields["exception"]


def test_each_record_is_one_line_whatever_it_says(log: io.StringIO) -> None:
    logging.getLogger("x").warning('one\ntwo {"event": "forged"}')
    assert len(log.getvalue().splitlines()) == 1


@pytest.mark.usefixtures("_logging_restored")
def test_a_terminal_gets_plain_lines() -> None:
    stream = io.StringIO()
    configure_logging(stream=stream, as_json=False)
    logging.getLogger("x").warning("careful", extra={"flow": "cart"})
    assert "careful" in stream.getvalue()
    assert "flow=cart" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_libraries_do_not_chatter(log: io.StringIO) -> None:
    logging.getLogger("httpx").info("HTTP Request: GET https://x")
    logging.getLogger("apscheduler.executors").info("Running job")
    assert log.getvalue() == ""


def test_counted_and_measured_figures_are_shown() -> None:
    metrics = PrometheusMetrics()
    metrics.count("events_received", 3, source="standard", outcome="stored")
    metrics.observe("render_seconds", 0.002, channel="email")
    text = metrics.exposition(None, NOW).decode()
    assert 'orchestrator_events_received_total{outcome="stored",source="standard"} 3.0' in text
    assert 'orchestrator_render_seconds_count{channel="email"} 1.0' in text


def test_waiting_work_is_shown_as_it_stands() -> None:
    due = DueCounts(events=1, enrolments=2, messages=3, oldest_due_at=NOW - timedelta(seconds=90))
    text = PrometheusMetrics().exposition(due, NOW).decode()
    assert "orchestrator_enrolments_due 2.0" in text
    assert "orchestrator_oldest_due_seconds 90.0" in text


def test_two_sets_of_metrics_do_not_meet() -> None:
    one, other = PrometheusMetrics(), PrometheusMetrics()
    one.count("enrolments_failed")
    assert b"orchestrator_enrolments_failed_total 1.0" not in other.exposition(None, NOW)


def test_a_figure_that_does_not_exist_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    metrics = PrometheusMetrics()
    metrics.count("no_such_thing")
    metrics.observe("render_seconds", 1, colour="red")
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]


def _figures_in_code() -> Iterator[tuple[str, str, frozenset[str]]]:
    """Every call of `….metrics.count(...)` and `….observe(...)`: method, name, labels."""
    for path in (ROOT / "orchestrator").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                continue
            owner = ast.unparse(node.func.value)
            if node.func.attr in {"count", "observe"} and owner.endswith("metrics"):
                (name,) = (ast.literal_eval(node.args[0]),)
                labels = {word.arg for word in node.keywords if word.arg not in {None, "amount"}}
                yield node.func.attr, name, frozenset(filter(None, labels))


def test_every_figure_in_code_is_in_the_table_with_its_labels() -> None:
    found = set(_figures_in_code())
    kinds = {"count": Kind.COUNTER, "observe": Kind.HISTOGRAM}
    assert found
    wrong = [
        (method, name, labels)
        for method, name, labels in found
        if name not in METRICS
        or METRICS[name].kind is not kinds[method]
        or set(METRICS[name].labels) != labels
    ]
    assert wrong == []


def test_every_figure_in_the_table_is_counted_somewhere() -> None:
    counted = {name for _, name, _ in _figures_in_code()}
    idle = [
        n for n, metric in METRICS.items() if metric.kind is not Kind.GAUGE and n not in counted
    ]
    assert idle == []


def test_every_figure_is_documented() -> None:
    text = (ROOT / "docs" / "observability.md").read_text()
    names = [
        f"orchestrator_{name}" + ("_total" if metric.kind is Kind.COUNTER else "")
        for name, metric in METRICS.items()
    ]
    assert [name for name in names if f"`{name}`" not in text] == []
