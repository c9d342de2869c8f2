from __future__ import annotations

from orchestrator.rendering.counted import LONGEST, with_counted_links
from orchestrator.rendering.email import RenderedEmail

OWN = "https://mail.shop.example/"


def counted(html: str, text: str = "") -> RenderedEmail:
    mail = RenderedEmail("Subject", "Preheader", html, text, "en")
    return with_counted_links(mail, OWN, lambda url: f"c/{url.encode().hex()}")


def to(url: str) -> str:
    return f"{OWN}c/{url.encode().hex()}"


def test_the_same_address_is_counted_the_same_in_both_parts() -> None:
    url = "https://shop.example/c?a=1&b=2"
    mail = counted(f'<a class="x" href="{url.replace("&", "&amp;")}">Go</a>', f"Go:\n{url}\n")
    assert mail.html == f'<a class="x" href="{to(url)}">Go</a>'
    assert mail.text == f"Go:\n{to(url)}\n"


def test_a_way_out_is_not_counted() -> None:
    html = f'<a href="{OWN}u/token">Unsubscribe</a>'
    mail = counted(html, f"Unsubscribe: {OWN}u/token")
    assert (mail.html, mail.text) == (html, f"Unsubscribe: {OWN}u/token")


def test_only_links_are_counted() -> None:
    html = (
        '<link href="https://x.example/a"><img src="https://x.example/i.png">'
        '<a href="mailto:help@x.example">Write</a> https://x.example/words'
    )
    assert counted(html).html == html


def test_an_address_in_somebodys_words_is_not_signed() -> None:
    words = "Hello https://evil.example/win, you left a basket"
    assert counted(f'<p>{words}</p><a href="https://x.example/a">Go</a>', words).text == words


def test_a_link_that_is_to_show_where_it_leads_stays() -> None:
    html = '<a href="https://x.example/privacy?a=1&amp;b=2">Privacy</a>'
    mail = RenderedEmail("Subject", "Preheader", html, "https://x.example/privacy?a=1&b=2", "en")
    plain = ["https://x.example/privacy?a=1&b=2", None]
    assert with_counted_links(mail, OWN, lambda _: "elsewhere", plain) == mail


def test_an_address_too_long_for_a_token_leads_there_itself() -> None:
    url = "https://x.example/" + "a" * LONGEST
    assert counted(f'<a href="{url}">Go</a>').html == f'<a href="{url}">Go</a>'
