"""Which country's law a person's consent falls under, and what that law asks of it.

Engineering defaults, not legal advice: every row names the law it follows and the day it was
written down. They come from summaries; nobody has compared them with the statutes yet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import Final

from orchestrator.domain.contacts import Contact
from orchestrator.domain.flows import DoubleOptIn


@dataclass(frozen=True, slots=True)
class Rule:
    """A country's rule, where it comes from, and the day this row was written."""

    source: str
    written_on: date


_DATED: Final = date(2026, 11, 21)
DOUBLE_OPT_IN: Final = {
    "DE": Rule("UWG section 7(2) as German courts read it: the sender proves the opt-in", _DATED),
    "AT": Rule("TKG 2021 section 174: prior consent; confirmed sign-up is accepted proof", _DATED),
    "CH": Rule("UWG article 3(1)(o): prior consent; confirmed sign-up is accepted proof", _DATED),
}
"""Countries where `where_required` asks for a confirmed sign-up."""

_EU: Final = (
    "AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE".split()
)
_EEA_EFTA: Final = ("IS", "LI", "NO")
NEEDS_CLEAR_ACT: Final = frozenset({*_EU, *_EEA_EFTA, "GB", "CH", "CA"})
"""Countries where a pre-ticked box is no consent.

GDPR recital 32, the same text in the United Kingdom, CASL; Norway, Iceland and Liechtenstein by
the EEA agreement; Switzerland because its shops serve the same customers.
"""

# ITU E.164 country codes of these countries; Canada shares +1 with others and is not told apart.
_CALLING_CODES: Final = {
    "30": "GR", "31": "NL", "32": "BE", "33": "FR", "34": "ES", "351": "PT", "352": "LU",
    "353": "IE", "354": "IS", "356": "MT", "357": "CY", "358": "FI", "359": "BG", "36": "HU",
    "370": "LT", "371": "LV", "372": "EE", "385": "HR", "386": "SI", "39": "IT", "40": "RO",
    "41": "CH", "420": "CZ", "421": "SK", "423": "LI", "43": "AT", "44": "GB", "45": "DK",
    "46": "SE", "47": "NO", "48": "PL", "49": "DE",
}  # fmt: skip

UNCLEAR_METHODS: Final = frozenset(
    {"pre_checked", "prechecked", "pre_ticked", "preticked", "bundled", "purchased", "bought",
     "unknown", "none", "n/a", "na", "?"}
)  # fmt: skip
"""Words for a way of collecting that is no clear act of the person, or that nobody knows."""


def jurisdiction(country: str | None, phone: str | None) -> tuple[str | None, str]:
    """(country, how it is known): declared, by the phone number, or unknown."""
    if country:
        return country.upper(), "country"
    digits = (phone or "").removeprefix("+")
    for length in (3, 2):
        if found := _CALLING_CODES.get(digits[:length]):
            return found, "phone"
    return None, "unknown"


def jurisdiction_of(contact: Contact) -> tuple[str | None, str]:
    """The jurisdiction of a contact."""
    return jurisdiction(contact.country, contact.phone)


def needs_confirmation(country: str | None, wanted: DoubleOptIn) -> bool:
    """Whether a yes must be confirmed; an unknown country wants none."""
    return wanted is DoubleOptIn.ALWAYS or country in DOUBLE_OPT_IN


def method_name(text: str) -> str:
    """A stated method in the form in which methods are stored: `web_form`."""
    return re.sub(r"[\s\-]+", "_", text.strip().lower())


def refusal_of_method(method: str, country: str | None) -> str | None:
    """Why a way of collecting cannot be used in a country, or None.

    Fails closed: an unknown country may be one of those that ask for a clear act.
    """
    if method_name(method) not in UNCLEAR_METHODS:
        return None
    if country is not None and country not in NEEDS_CLEAR_ACT:
        return None
    place = f"in {country}" if country else "for a person whose country is not known"
    return f'consent by method "{method}" cannot be used {place}: a clear act is needed'
