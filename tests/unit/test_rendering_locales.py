"""Messages in the reader's language: chosen whole, translated whole, written as it writes."""
# ruff: noqa: RUF001  # other alphabets are what this is about

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from orchestrator.domain.errors import RenderFailed
from orchestrator.domain.findings import Severity
from orchestrator.domain.flows import (
    Channel,
    FlowBook,
    LocalText,
    MessageClass,
    SendStep,
    Topic,
)
from orchestrator.domain.segments import Encoding
from orchestrator.flowfile import load_file
from orchestrator.rendering import formats
from orchestrator.rendering.catalogue_check import check_catalogues, unspoken
from orchestrator.rendering.collecting import collected, main, updated
from orchestrator.rendering.context import RenderContext
from orchestrator.rendering.email import EmailRenderer, RenderedEmail
from orchestrator.rendering.locales import (
    Catalogues,
    closest,
    pieces,
    spoken_in,
    tag_of,
)
from orchestrator.rendering.sms import SmsRenderer
from orchestrator.rendering.templates import built_in, load_folder

ROOT = Path(__file__).parents[2]
LOCALES = ("fi", "pl", "ru", "fa")
LINKS = {
    name: f"https://mail.northwind.example/{name}/{'t' * 70}"
    for name in ("unsubscribe", "preferences", "confirm", "view", "privacy")
}
ITEMS = [
    {"name": "Tove", "quantity": 2, "price": "1234.50"},
    {"name": "Aino", "quantity": 1, "price": "9"},
]
CART = {
    "items": ITEMS,
    "total": "2478",
    "currency": "EUR",
    "checkout_url": "https://shop.example/c",
}
HEAD = """msgid ""
msgstr ""
"Content-Type: text/plain; charset=utf-8\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

"""
PAGE = """{% extends "shell.html" %}
{% block subject %}{{ _("A subject") }}{% endblock %}
{% block content %}
{% trans name=contact.first_name %}Dear <b>{{ name }}</b>, hello{% endtrans %}
{{ heading(_("A heading")) }}{% endblock %}"""


@cache
def sources() -> dict[str, str]:
    return load_folder(ROOT / "templates")


@cache
def book() -> FlowBook:
    found = load_file(ROOT / "flows.yaml").book
    assert found is not None
    return found


def named(channel: Channel) -> list[tuple[str, MessageClass]]:
    return sorted(
        {
            (step.template, step.flow_class)
            for flow in book().flows.values()
            for step in flow.steps
            if isinstance(step, SendStep) and channel in step.via
        }
    )


def context(locale: str | None, **more: Any) -> RenderContext:
    facts: dict[str, Any] = {
        "message_class": MessageClass.MARKETING,
        "topic": "offers",
        "contact": {"first_name": "Tove"},
        "event": CART,
        "order": CART,
        "outputs": {"gift": {"code": "TEA", "expires_at": "2026-12-15"}},
        **more,
    }
    return RenderContext(links=LINKS, locale=locale, **facts)


@cache
def mails() -> EmailRenderer:
    return EmailRenderer(sources(), book().brand, book().topics)


def mail(template: str, locale: str | None, **more: Any) -> RenderedEmail:
    return mails().render(template, context(locale, **more))


def of_shop(page: str, *catalogues: tuple[str, str]) -> EmailRenderer:
    more = {f"locales/{tag}.po": HEAD + text for tag, text in catalogues}
    return EmailRenderer({**built_in(), "email/a/page.html": page, **more}, book().brand)


def english(source: str) -> Iterator[str]:
    """The words of a template as it is written, between its values and tags."""
    for _, said, _ in spoken_in(source):
        for text in [said] if isinstance(said, str) else said:
            for words, _ in pieces(text):
                yield from (one.strip() for one in re.split(r"<[^>]*>", words))


# The five journeys ------------------------------------------------------------------------------


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize(("template", "message_class"), named(Channel.EMAIL))
def test_no_word_of_english_is_left_in_a_translated_mail(
    template: str, message_class: MessageClass, locale: str
) -> None:
    made = mail(template, locale, message_class=message_class)
    seen = re.sub(r"<[^>]*>", " ", made.html.partition("<body")[2])
    layout = sources()["email/shell.html"] + sources()["email/components.html"]
    for words in english(sources()[f"email/{template}.html"] + layout):
        if len(words) > 3 and not words.startswith(("Northwind", "http")):
            assert words not in seen, words
            assert words not in made.text, words
    assert made.locale == locale
    assert 1 <= len(made.subject) <= 60
    assert 30 <= len(made.preheader) <= 110


@pytest.mark.parametrize(
    ("locale", "side"), [("fi", "ltr"), ("pl", "ltr"), ("ru", "ltr"), ("fa", "rtl")]
)
def test_a_page_tells_its_language_and_direction(locale: str, side: str) -> None:
    html = mail("welcome/hello", locale).html
    assert (
        re.findall(r'<(?:html|div)[^>]* lang="([^"]*)" dir="([^"]*)"', html) == [(locale, side)] * 2
    )
    assert ("text-align:right" in html) is (side == "rtl")


@pytest.mark.parametrize(
    ("locale", "number", "words"),
    [
        ("en", 1, "One title is waiting for you."),
        ("en", 2, "2 titles are waiting for you."),
        ("fi", 1, "Yksi kirja odottaa sinua."),
        ("fi", 2, "2 kirjaa odottaa sinua."),
        ("pl", 1, "Czeka na Ciebie 1 tytuł."),
        ("pl", 2, "Czekają na Ciebie 2 tytuły."),
        ("pl", 5, "Czeka na Ciebie 5 tytułów."),
        ("pl", 21, "Czeka na Ciebie 21 tytułów."),
        ("ru", 1, "Вас ждёт 1 книга."),
        ("ru", 2, "Вас ждут 2 книги."),
        ("ru", 5, "Вас ждут 5 книг."),
        ("ru", 21, "Вас ждёт 21 книга."),
        ("fa", 5, "۵ عنوان در انتظار شماست."),
    ],
)
def test_numbers_bend_words_as_the_language_does(locale: str, number: int, words: str) -> None:
    made = mail("cart/reminder", locale, event={**CART, "items": ITEMS[:1] * number})
    assert made.preheader.startswith(words)


@pytest.mark.parametrize(
    ("locale", "price", "day", "several"),
    [
        ("en", "€1,234.50", "December 15, 2026", "a, b, and c"),
        ("fi", "1\xa0234,50\xa0€", "15. joulukuuta 2026", "a, b ja c"),
        ("pl", "1\xa0234,50\xa0€", "15 grudnia 2026", "a, b i c"),
        ("ru", "1\xa0234,50\xa0€", "15 декабря 2026\u202fг.", "a, b и c"),
        ("fa", "\u200e€\xa0۱٬۲۳۴٫۵۰", "۱۵ دسامبر ۲۰۲۶", "a،\u200f b، و c"),
    ],
)
def test_prices_dates_and_lists_are_written_as_the_language_does(
    locale: str, price: str, day: str, several: str
) -> None:
    assert formats.money("1234.5", "EUR", locale) == price
    assert formats.day(date(2026, 12, 15), locale) == day
    assert formats.listed(["a", "b", "c"], locale) == several
    assert f"<bdi>{price}</bdi>" in mail("cart/reminder", locale).html
    assert f"<bdi>{day}</bdi>" in mail("winback/gift", locale).html


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("sender", ["NORTHWIND", "+358401234567", "+15005550006"])
def test_a_text_names_its_sender_first_stays_in_its_budget_and_says_how_to_stop(
    locale: str, sender: str
) -> None:
    texts = SmsRenderer(sources(), book().brand, book().topics)
    made = texts.render("cart/reminder", context(locale, sender=sender))
    lines = made.text.split("\n")
    assert made.locale == locale
    assert lines[0].startswith(book().brand.name.in_locale(locale) + ":")
    assert made.size.segments <= (2 if made.size.encoding is Encoding.GSM7 else 3)
    assert [line for line in lines if "http" in line and " " in line] == []
    assert LINKS["unsubscribe"] in lines or "STOP" in lines[-1]


def test_spelling_stays_in_a_persian_text_and_turning_marks_go() -> None:
    texts = SmsRenderer(sources(), book().brand, book().topics)
    text = texts.render("cart/reminder", context("fa")).text
    assert "نورث\u200cویند" in text
    assert not re.search("[\u200e\u200f\u2066-\u2069]", text)


# Choice -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("locale", "wanted"),
    [("fi", "fi"), ("fi-FI", "fi"), ("FI_fi", "fi"), ("sv", "en"), ("en-GB", "en"), (None, "en")],
)
def test_the_closest_catalogue_decides_the_language(locale: str | None, wanted: str) -> None:
    assert mail("cart/nudge", locale).locale == wanted


@pytest.mark.parametrize(
    ("tag", "wider"),
    [("pt_br", ["pt-BR", "pt"]), ("ZH-hant-tw", ["zh-Hant-TW", "zh-Hant", "zh"]), ("", [])],
)
def test_a_tag_is_made_wider_step_by_step(tag: str, wider: list[str]) -> None:
    assert list(closest(tag)) == wider


def test_a_template_whose_subject_is_not_translated_is_wholly_in_the_brands_language() -> None:
    other = 'msgid "A heading"\nmsgstr "Otsikko"\n'
    made = of_shop(PAGE, ("fi", other)).render("a/page", context("fi"))
    assert made.locale == "en"
    assert made.subject == "A subject"
    assert 'lang="en" dir="ltr"' in made.html
    assert "Otsikko" not in made.html
    assert "Unsubscribe" in made.html


def test_a_topic_that_is_not_told_in_the_language_is_left_out_of_the_sentence() -> None:
    topics = {"offers": Topic("offers", LocalText("Offers and sales", {"pl": "Oferty"}))}
    renderer = EmailRenderer(sources(), book().brand, topics)
    finnish, polish, english_ = (
        " ".join(renderer.render("cart/nudge", context(tag)).text.split())
        for tag in ("fi", "pl", "en")
    )
    assert "koska olet tilannut uutiskirjeen" in finnish
    assert "Offers" not in finnish
    assert "subskrybujesz „Oferty”" in polish
    assert "said yes to “Offers and sales”" in english_


def test_an_own_file_goes_before_a_catalogue_and_keeps_the_components_words() -> None:
    own = '{% extends "shell.html" %}{% block subject %}Oma{% endblock %}'
    sources_ = {**sources(), "email/cart/nudge.fi.html": own}
    made = EmailRenderer(sources_, book().brand, book().topics).render("cart/nudge", context("fi"))
    assert (made.subject, made.locale) == ("Oma", "fi")
    assert "Peruuta tilaus" in made.html


def test_a_region_says_what_it_says_otherwise_and_the_language_the_rest() -> None:
    wide = 'msgid "A subject"\nmsgstr "Assunto"\n\nmsgid "A heading"\nmsgstr "Título"\n'
    region = 'msgid "A heading"\nmsgstr "Cabeçalho"\n'
    made = of_shop(PAGE, ("pt", wide), ("pt_BR", region)).render("a/page", context("pt-BR"))
    assert (made.locale, made.subject) == ("pt-BR", "Assunto")
    assert "Cabeçalho" in made.html


def test_what_is_unsure_is_not_said() -> None:
    unsure = '#, fuzzy\nmsgid "A subject"\nmsgstr "Ehkä"\n'
    assert of_shop(PAGE, ("fi", unsure)).render("a/page", context("fi")).locale == "en"


@pytest.mark.parametrize(
    ("path", "tag"),
    [
        ("locales/fi.po", "fi"),
        ("locales/pt_BR/LC_MESSAGES/messages.po", "pt-BR"),
        ("locales/fi.txt", None),
        ("email/fi.po", None),
    ],
)
def test_a_catalogues_place_tells_its_language(path: str, tag: str | None) -> None:
    assert tag_of(path) == tag


# Words into templates ---------------------------------------------------------------------------

SUBJECT = 'msgid "A subject"\nmsgstr "Aihe"\n\n'
DEAR = 'msgid "Dear <b>%(name)s</b>, hello"\nmsgstr "Hei <p>%(name)s</p>, 100%%"\n'
MISSPELT = DEAR.replace("Hei <p>%(name)s", "Hei <p>%(nmae)s")
LOST = DEAR.replace("Hei <p>%(name)s", "Hei <p>")


def test_a_translation_is_styled_like_a_template_and_its_values_are_escaped() -> None:
    shop = of_shop(PAGE, ("fi", SUBJECT + DEAR))
    made = shop.render("a/page", context("fi", contact={"first_name": '<i a="%(x)s">'}))
    safe = r"&lt;i a=&#34;%\(x\)s&#34;&gt;"
    assert re.search(rf'Hei <p class="[^"]+" style="[^"]+">{safe}</p>, 100%', made.html)
    assert '<i a="%(x)s">' in made.text


def test_a_translation_that_asks_for_what_it_is_not_given_is_refused() -> None:
    wrong = SUBJECT + MISSPELT
    with pytest.raises(RenderFailed, match=r'page\.html:4: .* is told no "nmae"'):
        of_shop(PAGE, ("fi", wrong)).render("a/page", context("fi"))


# Check ------------------------------------------------------------------------------------------


def remarks(catalogue: str, page: str = PAGE, tag: str = "sv") -> list[tuple[Severity, int, str]]:
    templates = {**built_in(), "email/a/page.html": page, f"locales/{tag}.po": catalogue}
    found = check_catalogues(templates, frozenset({(Channel.EMAIL, "a/page")}), "templates")
    return [(one.severity, one.line, one.message) for one in found]


def test_the_shipped_catalogues_are_without_a_remark() -> None:
    every = frozenset((channel, name) for channel in Channel for name, _ in named(channel))
    assert list(check_catalogues(sources(), every, "templates")) == []


@pytest.mark.parametrize(
    ("entry", "line", "message"),
    [
        (
            MISSPELT,
            6,
            "%(nmae)s is no value of this text",
        ),
        (LOST, 6, "the translation has lost %(name)s"),
        ('msgid "a"\nmsgid_plural "b"\nmsgstr[0] "c"\n', 6, "1 plural forms, the language has 2"),
        ('msgid "a"\nmgstr "b"\n', 7, None),
    ],
)
def test_a_mistake_in_a_catalogue_is_an_error_with_its_line(
    entry: str, line: int, message: str | None
) -> None:
    (severity, found, said), *_ = remarks(HEAD + entry)
    assert (severity, found) == (Severity.ERROR, line)
    assert message is None or said == message


def test_what_a_translated_template_leaves_out_is_named() -> None:
    fi = [said for _, _, said in remarks(HEAD + SUBJECT, tag="fi")]
    assert fi == [
        (
            "a/page.html is sent in 'fi', but not all of it is translated: "
            '"Dear <b>%(name)s</b>, hello", "A heading"'
        )
    ]


def test_a_language_without_the_components_words_is_named() -> None:
    whole = SUBJECT + DEAR + '\nmsgid "A heading"\nmsgstr "Rubrik"\n'
    ((severity, _, said),) = remarks(HEAD + whole)
    assert severity is Severity.WARNING
    assert said.startswith("mails are sent in 'sv', but the components' words are not translated")


def test_a_template_that_lacks_a_language_of_the_shop_is_named() -> None:
    more = {**sources(), "sms/cart/short.txt": "{{ brand.name }}: tea"}
    every = frozenset({(Channel.SMS, "cart/short"), (Channel.SMS, "cart/reminder")})
    (found,) = unspoken(book(), more, every, "templates")
    assert (found.severity, found.file) == (Severity.WARNING, "templates/sms/cart/short.txt")
    assert found.message == ("it is not in fa, fi, pl, ru: whoever reads that gets all of it in en")


def test_a_catalogue_for_nothing_that_is_sent_is_no_matter() -> None:
    assert remarks(HEAD + 'msgid "x"\nmsgstr "y"\n') == []


# Keeping them up to date ------------------------------------------------------------------------

RENDERING = "orchestrator/rendering"
COLLECTIONS = {
    "templates": ["templates"],
    f"{RENDERING}/components": [f"{RENDERING}/components", f"{RENDERING}/context.py"],
    "orchestrator/web/pages/templates": ["orchestrator/web"],
}


@pytest.mark.parametrize("folder", COLLECTIONS)
def test_each_catalogue_has_what_is_said_now_and_translates_all_of_it(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    found = collected([Path(source) for source in COLLECTIONS[folder]])
    paths = sorted(Path(folder, "locales").glob("*.po"))
    assert sorted(path.stem for path in paths) == sorted(LOCALES)
    for path in paths:
        text = path.read_text("utf-8")
        assert updated(text, found, path.stem) == text, f"{path}: run make messages"
        known = Catalogues({f"locales/{path.name}": text}).known(path.stem)
        said = {one.id if isinstance(one.id, str) else tuple(one.id) for one in found if one.id}
        assert known == said


def test_a_new_language_begins_with_every_text_and_keeps_what_is_translated(tmp_path: Path) -> None:
    plural = "{% trans n=n %}One{% pluralize %}{{ n }}{% endtrans %}"
    (tmp_path / "a.html").write_text('{{ _("Tea") }}' + plural)
    main([str(tmp_path), "--locale", "pl"])
    path = tmp_path / "locales/pl.po"
    text = path.read_text()
    assert 'msgid "Tea"\nmsgstr ""' in text
    assert "nplurals=3" in text
    assert 'msgstr[2] ""' in text
    path.write_text(text.replace('msgid "Tea"\nmsgstr ""', 'msgid "Tea"\nmsgstr "Herbata"'))
    (tmp_path / "a.html").write_text('{{ _("Cups") }}{{ _("Tea") }}')
    main([str(tmp_path)])
    assert 'msgstr "Herbata"' in path.read_text()
    assert 'msgid "Cups"' in path.read_text()
    assert "msgstr[2]" not in path.read_text()
