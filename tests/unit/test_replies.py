"""What people answer is understood: every clear wish to stop, and nothing that is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain.flows import Channel
from orchestrator.domain.replies import (
    STOP_WORDS,
    Intent,
    Reply,
    compared,
    intent_of,
    intent_of_text,
)

WORDS = sorted({word for words in STOP_WORDS.values() for word in words})


@pytest.mark.parametrize("word", "STOP STOPALL UNSUBSCRIBE CANCEL END QUIT REVOKE OPTOUT".split())
@pytest.mark.parametrize("form", ["{}", " {} ", "{}.", "{}!!", "“{}”", "{} 😡", "\u200f{}\n"])
def test_a_word_of_the_regulators_list_stops_however_it_is_dressed(word: str, form: str) -> None:
    for text in (form.format(word), form.format(word.lower()), form.format(word.title())):
        assert intent_of_text(text) is Intent.STOP


@pytest.mark.parametrize(
    "text",
    [
        *("STOP.", " stop ", "Opt-Out", "opt out", "Opt  Out!", "STOP ALL", "s\u0301top"),
        "\uff33\uff34\uff2f\uff30",  # fullwidth letters
        *(
            "ARRET",
            "Arrêt",
            "arrêter",
            "СТОП",
            "стоп!",
            "لغو",
            "لغو\u06f1\u06f1",
            "Lopeta",
            "Rezygnuję",
        ),
        *("KONIEC", "Stopp", "baja", "peru", "отписаться", "TD"),
        *("S.T.O.P.", "s t o p", "No more!", "stop-all"),
    ],
)
def test_a_word_stops_in_any_spelling_and_language(text: str) -> None:
    assert intent_of_text(text) is Intent.STOP


@pytest.mark.parametrize("word", WORDS)
def test_every_word_of_the_table_stops(word: str) -> None:
    assert intent_of_text(word.upper()) is Intent.STOP


@pytest.mark.parametrize(
    "text",
    [
        "please stop texting me",
        "Stop please",
        "STOP PLEASE",
        "Stop sending me messages!",
        "stop it",
        "Unsubscribe me",
        "take me off this list",
        "I want to unsubscribe.",
        "I'd like to opt out",
        "don't text me again",
        "Do not contact me",
        "No more texts",
        "wrong number",
        "Älkää lähettäkö enää",
        "Älä lähetä enää",
        "Älkää enää laittako viestejä",
        "Proszę mnie wypisać",
        "Don't text! STOP",
        "En halua näitä",
        "Nie chcę więcej",
        "не пишите мне",
        "دیگر پیام نفرستید",
    ],
)
def test_a_clear_sentence_stops(text: str) -> None:
    assert intent_of_text(text) is Intent.STOP


@pytest.mark.parametrize(
    "text",
    [
        "Please don't stop",
        "never stop sending me these",
        "non-stop fun",
        "Älä lopeta",
        "Yes please",
        "When is my order coming?",
        "Thank you! The book was great",
        "start reading",
        "I need help with my order",
        "Wonderful ending",
        "😀",
        "",
    ],
)
def test_other_texts_are_texts(text: str) -> None:
    assert intent_of_text(text) is Intent.TEXT


@pytest.mark.parametrize(
    "text",
    [
        "Can I stop by the shop tomorrow?",
        "is this the bus stop",
        "How do I unsubscribe from the paper catalogue",
        "stop " + "and think about it " * 5,
        "Please don't stop. STOP",
        "Never mind, STOP",
        "I didn't sign up, unsubscribe",
        "I can't unsubscribe!",
        "it doesn't stop",
        "you never stop",
        "I can't stop reading it",
        "unsubscibe",
        "Lopettakaa viestit",
        "Прекратите это",
        "پیامک نفرستید",
    ],
)
def test_a_text_that_speaks_of_stopping_is_unclear(text: str) -> None:
    assert intent_of_text(text) is Intent.UNCLEAR


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("START", Intent.START),
        ("unstop.", Intent.START),
        ("un-stop", Intent.START),
        ("Yes", Intent.TEXT),  # it may answer a question
        ("HELP", Intent.HELP),
        ("info?", Intent.HELP),
        ("Помощь", Intent.HELP),
    ],
)
def test_words_to_start_and_for_help(text: str, wanted: Intent) -> None:
    assert intent_of_text(text) is wanted


def test_what_the_provider_took_it_for_goes_first() -> None:
    reply = Reply("twilio", "SM1", Channel.SMS, "+358401234567", "ENOUGH", Intent.STOP)
    assert intent_of(reply) is Intent.STOP


@given(st.text(max_size=200))
def test_any_text_has_an_intent_and_comparing_twice_changes_nothing(text: str) -> None:
    assert intent_of_text(text) in Intent
    assert compared(compared(text)) == compared(text)
