"""Every rule by its number. A number may have two rows: what stops a mail, and what is said of it.

What stands in docs/rules.md and not here is held elsewhere, or cannot be checked by a machine.
"""

from __future__ import annotations

from typing import Final

from orchestrator.domain.findings import Severity
from orchestrator.rendering.lint import darkness, law, structure, texts, visibility, wire, wording
from orchestrator.rendering.lint.subject import Rule, TextRule

VERSION: Final = 1
"""Counts changes of rules and of the facts they are tried with; results of another are not used."""

_ERROR, _WARNING = Severity.ERROR, Severity.WARNING

RULES: Final = (
    Rule("A1", _ERROR, structure.a1),
    Rule("A2", _ERROR, structure.a2),
    Rule("A3", _ERROR, structure.a3),
    Rule("A4", _ERROR, structure.a4),
    Rule("A5", _WARNING, structure.a5),
    Rule("A6", _WARNING, structure.a6),
    Rule("A7", _ERROR, structure.a7),
    Rule("A8", _ERROR, structure.a8),
    Rule("A9", _ERROR, wording.a9),
    Rule("A10", _ERROR, wording.a10),
    Rule("A11", _WARNING, wording.a11),
    Rule("A12", _ERROR, structure.a12),
    Rule("A13", _ERROR, visibility.a13),
    Rule("A13", _WARNING, visibility.a13_unknown),
    Rule("A14", _ERROR, visibility.a14),
    Rule("A15", _ERROR, visibility.a15),
    Rule("A16", _ERROR, visibility.a16),
    Rule("A16", _WARNING, visibility.a16_small),
    Rule("A17", _ERROR, visibility.a17),
    Rule("A17", _WARNING, visibility.a17_small),
    Rule("A18", _WARNING, visibility.a18),
    Rule("A19", _ERROR, wording.a19),
    Rule("A21", _ERROR, structure.a21),
    Rule("A22", _ERROR, structure.a22),
    Rule("A23", _WARNING, visibility.a23),
    Rule("B1", _ERROR, darkness.b1),
    Rule("B2", _ERROR, darkness.b2),
    Rule("B3", _ERROR, darkness.b3),
    Rule("B4", _ERROR, darkness.b4),
    Rule("B5", _ERROR, darkness.b5),
    Rule("B6", _WARNING, visibility.b6),
    Rule("B7", _WARNING, visibility.b7),
    Rule("B8", _ERROR, darkness.b8),
    Rule("B9", _WARNING, darkness.b9),
    Rule("B10", _WARNING, visibility.b10),
    Rule("C1", _ERROR, darkness.c1),
    Rule("C1", _WARNING, darkness.c1_many),
    Rule("C2", _ERROR, darkness.c2),
    Rule("C3", _ERROR, wording.c3),
    Rule("C4", _ERROR, wording.c4),
    Rule("C5", _ERROR, wording.c5),
    Rule("C6", _ERROR, wording.c6),
    Rule("C6", _WARNING, wording.c6_long),
    Rule("C7", _WARNING, wording.c7),
    Rule("C8", _ERROR, wording.c8),
    Rule("C11", _ERROR, darkness.c11),
    Rule("C12", _ERROR, darkness.c12),
    Rule("D1", _ERROR, wire.d1),
    Rule("D2", _ERROR, wire.d2),
    Rule("D3", _ERROR, wire.d3),
    Rule("D4", _ERROR, wire.d4),
    Rule("D9", _ERROR, law.d9),
    Rule("D11", _ERROR, wire.d11),
    Rule("E2", _ERROR, law.e2),
    Rule("E2", _WARNING, law.e2_words),
    Rule("E8", _ERROR, law.e8),
    Rule("E8", _WARNING, law.e8_privacy),
    Rule("E12", _ERROR, law.e12),
)
"""Rules about mails, in the order of the page."""

TEXT_RULES: Final = (
    TextRule("F8", _ERROR, texts.f8),
    TextRule("F9", _ERROR, texts.f9),
    TextRule("F10", _ERROR, texts.f10),
    TextRule("F11", _ERROR, texts.f11),
)
"""Rules about text messages; F3, F4, F7 and the warning of F8 are those of `sms_check`."""
