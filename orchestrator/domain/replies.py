"""What people answer to text messages: a word to stop, to start again, for help, or a text.

Words count in every language at once: people write the one they know. The rules follow 47 CFR
64.1200(a)(10), which lets a person revoke consent in any reasonable way, and the CTIA's messaging
principles for START and HELP.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from orchestrator.domain.flows import Channel

LONGEST_STOP: Final = 12
"""Words of a reply that is read for a wish to stop; a longer one is a letter, and unclear."""


class Intent(StrEnum):
    """What a reply wants."""

    STOP = "stop"
    START = "start"
    HELP = "help"
    UNCLEAR = "unclear"  # it speaks of stopping: marketing stops, and a person looks at it
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Reply:
    """A text message that somebody sent to us; verified and parsed.

    `keyword` is what the provider itself has taken it for, where it tells.
    """

    provider: str
    provider_id: str
    channel: Channel
    number: str
    """Whose it is: E.164."""
    text: str
    keyword: Intent | None = None


STOP_WORDS: Final = {
    "en": ("stop", "stop all", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke",
           "optout", "opt out", "remove", "unsub", "no more"),
    "ar": ("إيقاف", "توقف", "الغاء"),
    "de": ("stopp", "abmelden", "abbestellen", "austragen", "kündigen"),
    "es": ("alto", "baja", "parar", "cancelar", "salir"),
    "fa": ("لغو", "لغو 11", "لغو11", "توقف", "خروج", "انصراف"),
    "fi": ("seis", "lopeta", "peru", "peruuta", "poista", "ei kiitos"),
    "fr": ("arrêt", "arrêter", "arret", "arreter", "désabonner", "annuler", "td"),
    "it": ("basta", "annulla", "cancella", "disiscrivi"),
    "nl": ("afmelden", "stoppen", "uitschrijven"),
    "pl": ("koniec", "wypisz", "rezygnuję", "anuluj", "zatrzymaj"),
    "pt": ("pare", "sair", "cancelar", "remover"),
    "ru": ("стоп", "отписаться", "отписка", "отмена", "хватит", "отказ"),
    "sv": ("avsluta", "avregistrera", "sluta", "avbryt"),
}  # fmt: skip
"""Replies that are nothing but a word to stop: by language, for the reader alone."""
START_WORDS: Final = ("start", "unstop")
HELP_WORDS: Final = ("help", "info", "apua", "pomoc", "помощь", "کمک", "aide", "hilfe", "ayuda")

STOP_PHRASES: Final = (
    r"stop (please|now|it|this|that|texting|messaging|sending|contacting|the (texts|messages|sms))",
    r"stop (all )?(your |these |those |any )?(texts|messages|sms|texting|messaging)",
    r"please (stop|unsubscribe|remove|cancel|quit)",
    r"(i )?(want|would like|d like|wish) (to|you to) (stop|unsubscribe|opt out|cancel)",
    r"(unsubscribe|remove|delete|take) me( off| from)?",
    r"opt(ing)? (me )?out",
    r"(do not|don t|dont|never) (text|message|contact|sms|write|send)",
    r"no more (texts|messages|sms|of these|of this)",
    r"leave me alone",
    r"wrong (number|person)",
    r"who(ever)? (is|are) (this|you) stop",
    r"(älkää|älä) (enää )?(lähet|lait|viest)\w*",
    r"(en|emme) halua (näitä|tätä|viestejä|enää)",
    r"(nie chcę|proszę nie|nie) (wysyłać|wysyłajcie|wysyłaj|pisać|piszcie|więcej)",
    r"proszę (mnie )?wypisa\w*",
    r"(не|больше не) (пишите|присылайте|отправляйте|шлите)",
    r"(دیگر|لطفا) ?(پیام|پیامک)? ?(نفرستید|ندهید|نفرست)",
)
"""Ways to say so in a sentence; written in the form in which replies are compared."""

_STEMS: Final = (
    r"stop\w*|unsub\w*|opt(ed|ing)? ?out|lopet\w*|wypis\w*|لغو|نفرست\w*"
    r"|отпис\w*|отпиш\w*|стоп|перестан\w*|прекрат\w*"
)
_GOING_ON: Final = (
    r"(do not|don t|dont|non|(?<!you )(?<!they )never) (stop(ping)?|unsubscribe)",
    r"(älä|älkää) lopet\w*",
)
"""The opposite, said outright. No word stands between: "Don't text! STOP" is a wish to stop. What
else is denied ("it doesn't stop", "I can't opt out") is no wish to go on, so it stays unclear."""


def intent_of(reply: Reply) -> Intent:
    """What a reply wants; the provider's own word for it, if there is one, goes first."""
    return reply.keyword or intent_of_text(reply.text)


def intent_of_text(text: str) -> Intent:
    """What a text wants, by its words alone."""
    words = compared(text)
    for intent, known in _KEYWORDS.items():
        if _is_one_of(known, words):
            return intent
    rest = _GONE_ON.sub(" ", words)
    short = len(words.split()) <= LONGEST_STOP
    if short and _STOPPING.search(rest):
        return Intent.STOP
    return Intent.UNCLEAR if _STEM.search(rest) else Intent.TEXT


def keyword_of(text: str) -> str | None:
    """The word that a reply is made of, if it is nothing but one of ours."""
    words = compared(text)
    return words if any(_is_one_of(known, words) for known in _KEYWORDS.values()) else None


def _is_one_of(known: frozenset[str], words: str) -> bool:
    """Whether a text is one of these words, also with its letters apart: "S.T.O.P", "un-stop"."""
    return words in known or words.replace(" ", "") in known


def compared(text: str) -> str:
    """The form in which replies are compared.

    Compatibility forms are made plain (NFKC: fullwidth letters), case is folded, accents, signs
    and pictures are taken off, digits of every script are the same, and words are parted by one
    space.
    """
    return " ".join(_NO_WORD.sub(" ", _bare(text)).split())


def _bare(text: str) -> str:
    """Folded, without accents, joiners and marks of direction: these part no words."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(
        str(unicodedata.digit(letter, letter))
        for letter in unicodedata.normalize("NFKD", folded)
        if unicodedata.category(letter) not in {"Mn", "Me", "Cf"}
    )


_NO_WORD: Final = re.compile(r"[\W_]+")
_KEYWORDS: Final = {
    Intent.STOP: frozenset(compared(word) for words in STOP_WORDS.values() for word in words),
    Intent.START: frozenset(map(compared, START_WORDS)),
    Intent.HELP: frozenset(map(compared, HELP_WORDS)),
}


def _pattern(*alternatives: str) -> re.Pattern[str]:
    """One expression of several, their letters as in `compared`."""
    # Digits and capitals have no meaning of their own in these, so folding leaves them intact.
    return re.compile(rf"\b(?:{_bare('|'.join(alternatives))})\b")


_STOPPING: Final = _pattern(*STOP_PHRASES)
_STEM: Final = _pattern(_STEMS)
_GONE_ON: Final = _pattern(*_GOING_ON)
