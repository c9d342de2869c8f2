"""Rules about pictures, links and words: what somebody who sees nothing gets to hear."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from orchestrator.rendering.lint.css import pixels
from orchestrator.rendering.lint.page import Element, Page
from orchestrator.rendering.lint.subject import TYPICAL, Mail, Remark
from orchestrator.rendering.lint.wordlists import VAGUE, words_of

_FILE_NAME = re.compile(r"\S+\.(?:png|jpe?g|gif|webp|svg|avif|bmp)", re.IGNORECASE)
_SAYS_NOTHING: Final = frozenset({"image", "picture", "photo", "logo", "banner", "img", "icon"})
_LONGEST_ALT: Final = 150
_ENOUGH: Final = 200
"""Characters that make a message one of words."""
_SHARE: Final = 0.4
_SOME_WORDS: Final = 60
_LARGE_PICTURE: Final = 200
"""Pixels of width."""
_FRAME: Final = frozenset({"head", "foot", "preheader"})
_LEFT_OVER = re.compile(r"\{\{|\{%|\{#|\b(?:None|undefined|nan|NaN)\b|\[\]")
_TEMPLATE_SYNTAX = re.compile(r"\{\{|\{%|\{#")
_REPLIES = re.compile(r"\s*(?:re|fw|fwd|aw|wg|vs|sv|antw|odp|rif)\s*:", re.IGNORECASE)
_LONGEST_SUBJECT: Final = 150
_GOOD_SUBJECT: Final = 60
_LETTERS: Final = 10
_NAME: Final = 3
"""Letters from which on capitals are shouting rather than a name."""
_PREHEADER: Final = (30, 110)
_FILLER: Final = 60


def a9(mail: Mail) -> Iterator[Remark]:
    """A picture has an alternative text, and it is one."""
    for image in mail.page.all("img", "v:image"):
        alt = image.attributes.get("alt")
        file = image.attributes.get("src", "").rpartition("/")[2]
        clues = (file,) if file else ()
        if alt is None:
            yield Remark(
                "a picture without alt: whoever does not see it hears its file name",
                'write alt="what it shows", or alt="" if the words beside it say it already',
                image,
                clues,
            )
        elif not alt.strip():
            if image in mail.page.seen and _alone(image):
                yield Remark(
                    'alt="" on a picture that is all its link or line says',
                    "write what it shows, or where the link leads",
                    image,
                    clues,
                )
        else:
            yield from _poor(image, alt.strip(), clues)


def _alone(image: Element) -> bool:
    link = image.around("a")
    around = link or next((one for one in image.lineage if one.tag in _LINES), None)
    return around is not None and not around.words and image.style("display") != "none"


_LINES: Final = frozenset("p li h1 h2 h3 h4 h5 h6 table blockquote figure body".split())


def _poor(image: Element, alt: str, clues: tuple[str, ...]) -> Iterator[Remark]:
    if len(alt) > _LONGEST_ALT:
        yield Remark(
            f"an alt of {len(alt)} characters", f"{_LONGEST_ALT} are enough: say it beside", image
        )
    elif _FILE_NAME.fullmatch(alt) or "://" in alt or alt.lower() in _SAYS_NOTHING:
        hint = 'write what it shows: alt="A stack of new novels"'
        yield Remark(f'alt="{alt}" says nothing of the picture', hint, image, (alt, *clues))


def a10(mail: Mail) -> Iterator[Remark]:
    """A link has a name."""
    for link in mail.page.links:
        if not link.words:
            address = link.attributes["href"]
            yield Remark(
                "a link without words: nobody hears where it leads",
                "write words into it, or give its picture an alt",
                link,
                (address,),
            )


def a11(mail: Mail) -> Iterator[Remark]:
    """Its name says where it leads, and the same name leads to the same place.

    The label of a group around it is part of its name: "4 stars out of 5" of which book is heard
    with the group (WCAG 2.4.4, the context that programs can determine).
    """
    vague = frozenset(words_of(VAGUE, mail.language))
    places: dict[tuple[str, str], set[str]] = defaultdict(set)
    for link in mail.page.links:
        name = link.words.casefold().strip(" .:!»→>\u203a")
        if name in vague:
            yield Remark(
                f'the link "{link.words}" does not say where it leads',
                'name what is there: "Your basket", "The new arrivals"',
                link,
                (f">{link.words}<", f'"{link.words}"'),
            )
        elif name:
            there = places[_group(link), name]
            there.add(link.attributes["href"])
            if len(there) == 2 and mail.facts == TYPICAL:  # noqa: PLR2004  # told once
                yield Remark(
                    f'two links are called "{link.words}" and lead to different places',
                    "give each a name of its own",
                    link,
                )


def _group(link: Element) -> str:
    """The label of the group that a link belongs to."""
    around = (one for one in link.lineage if one.attributes.get("role") == "group")
    return next((one.attributes.get("aria-label", "") for one in around), "").casefold().strip()


def a19(mail: Mail) -> Iterator[Remark]:
    """A message is of words, not of pictures of words."""
    if mail.facts != TYPICAL:
        return
    content = [one for one in mail.page.seen if one.tag == "img" and not _in_frame(one)]
    told = sum(len(" ".join(text.split())) for one, text in mail.texts if not _in_frame(one))
    pictured = sum(_said_by(image) for image in content)
    if content and told < _ENOUGH and told < _SHARE * (told + pictured):
        yield Remark(
            "nearly everything it says is in pictures, which many never see",
            "write the words as words, and use pictures beside them",
            content[0],
        )


def _said_by(image: Element) -> int:
    """Characters that a picture stands for; a large one for some words at least."""
    words = len(image.attributes.get("alt", ""))
    width = pixels(image.attributes.get("width", "")) or _LARGE_PICTURE
    return max(words, _SOME_WORDS) if width >= _LARGE_PICTURE else words


def _in_frame(element: Element) -> bool:
    """Whether it belongs to what all mails have above and below."""
    return any(
        _FRAME & {*one.classes} or one.tag in {"header", "footer"} for one in element.lineage
    )


def c3(mail: Mail) -> Iterator[Remark]:
    """Facts are printed between quotes, and never taken for HTML."""
    if found := re.search(r"\{%-?\s*autoescape\b[^%]*%\}", mail.source):
        yield Remark(
            "autoescape is switched: what a customer writes could become HTML",
            "leave it out",
            clues=(found[0],),
        )
    for attribute in re.finditer(
        r"<[^<>{}]*?\s([\w:-]+)=(?:'[^'\"<>]*)?(\{\{.*?\}\})", mail.source
    ):
        yield Remark(
            f"{attribute[1]}={attribute[2]} is not in double quotes",
            f'write {attribute[1]}="{attribute[2]}"',
            clues=(f"{attribute[1]}={attribute[2]}", attribute[2]),
        )
    if mail.tame is not None and _skeleton(mail.mail.html) != _skeleton(mail.tame.html):
        yield Remark(
            "what a customer writes becomes HTML here",
            'print it as text: {{ name }} between tags, or in attributes as "{{ name }}"',
        )


def _skeleton(html: str) -> list[tuple[str, tuple[str, ...]]]:
    return Page(html).skeleton


def c4(mail: Mail) -> Iterator[Remark]:
    """Links and pictures lead to https, mailto or tel."""
    for one in mail.page.elements:
        if one.tag == "a" and not one.attributes.keys() & {"href", "id", "name"}:
            yield Remark("a link that leads nowhere", 'write <a href="https://…">', one)
        for name in ("href", "src", "background", "srcset"):
            address = one.attributes.get(name)
            if address is None or (one.tag == "a" and _WITHIN.match(address)):
                continue
            if not allowed_address(address):
                yield Remark(
                    f'{name}="{address[:60]}" is no address that a mail may have',
                    "write one that begins with https://, mailto: or tel:",
                    one,
                    (f'{name}="{address}"', address),
                )


_WITHIN = re.compile(r"#.")
"""A place in the mail itself; `#` alone leads nowhere."""
_ADDRESS = re.compile(
    r"https://[^\s/]|http://(?:127\.0\.0\.1|localhost|\[::1\])[:/]|mailto:\S|tel:[+\d]",
    re.IGNORECASE,
)


def allowed_address(address: str) -> bool:
    """https, mailto and tel; http on this machine alone (RFC 3986 for the schemes)."""
    return bool(_ADDRESS.match(address))


def c5(mail: Mail) -> Iterator[Remark]:
    """Nothing of a template or of Python is left in the message."""
    parts = {
        "subject": mail.mail.subject,
        "preheader": mail.mail.preheader,
        "page": mail.page.words,
        "plain part": mail.mail.text,
    }
    for name, text in parts.items():
        for found in left_over(text):
            if not any(found in one for one in mail.said) and not _written(found, mail.source):
                yield Remark(
                    f'"{found}" is left in the {name}',
                    "print a value that may be missing as {{ value or '' }}",
                    clues=(found,),
                )
                break


def left_over(text: str) -> list[str]:
    """What looks like template syntax, or like a value that nobody set."""
    return _LEFT_OVER.findall(text)


def template_syntax(text: str) -> list[str]:
    """What looks like template syntax."""
    return _TEMPLATE_SYNTAX.findall(text)


def _written(word: str, source: str) -> bool:
    """Whether the author wrote the word as a word: "None of them"."""
    plain = re.sub(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", " ", source, flags=re.DOTALL)
    return not _TEMPLATE_SYNTAX.match(word) and word in plain


def c6(mail: Mail) -> Iterator[Remark]:
    """A subject is one honest line."""
    subject = mail.mail.subject
    clues = (subject,)
    if not subject or len(subject) > _LONGEST_SUBJECT or re.search(r"[\r\n]", subject):
        yield Remark("the subject is not one line of 1 to 150 characters", "shorten it")
    if shouts(subject, mail.said):
        yield Remark(f'the subject "{subject}" shouts', "write it in small letters", clues=clues)
    if _REPLIES.match(subject):
        yield Remark(
            f'the subject "{subject[:60]}" claims to answer a mail',
            "say what is in it",
            clues=clues,
        )


def shouts(subject: str, said: frozenset[str] = frozenset()) -> bool:
    """Whether more than half of its letters are capitals; those of a person's name do not count."""
    text = subject
    for one in sorted(said, key=len, reverse=True):
        if len(one) >= _NAME and one in text:
            text = text.replace(one, "")
    letters = [one for one in text if one.isalpha()]
    return len(letters) >= _LETTERS and sum(map(str.isupper, letters)) * 2 > len(letters)


def claims_to_answer(subject: str) -> bool:
    """Whether it begins like an answer or a forwarded mail."""
    return _REPLIES.match(subject) is not None


def c6_long(mail: Mail) -> Iterator[Remark]:
    """... and short enough for a list on a telephone."""
    length = len(mail.mail.subject)
    if mail.facts == TYPICAL and length > _GOOD_SUBJECT:
        yield Remark(
            f"the subject has {length} characters; telephones show about 40",
            f"say it in {_GOOD_SUBJECT}",
            clues=(mail.mail.subject,),
        )


def c7(mail: Mail) -> Iterator[Remark]:
    """A preheader adds to the subject."""
    if mail.facts != TYPICAL:
        return
    words, (least, most) = mail.mail.preheader, _PREHEADER
    if not words:
        yield Remark(
            "there is no preheader: mailboxes show the first words of the page instead",
            "fill the block `preheader` with 30 to 110 characters",
        )
        return
    if words.casefold() == mail.mail.subject.casefold():
        yield Remark("the preheader repeats the subject", "let it add something", clues=(words,))
    elif not least <= len(words) <= most:
        yield Remark(
            f"the preheader has {len(words)} characters", f"{least} to {most} fit", clues=(words,)
        )
    hidden = next((one for one in mail.page.elements if words in " ".join(one.text.split())), None)
    inner = [one for one in mail.page.elements if " ".join(one.text.split()).startswith(words)]
    if hidden is None or not inner:
        yield Remark(
            "the page does not show the preheader", "print {{ preheader }} first in the body"
        )
    elif inner[-1].text.count("\u200c") < _FILLER and inner[0].text.count("\u200c") < _FILLER:
        yield Remark(
            "after the preheader mailboxes go on with the page", "print {{ filler }} after it"
        )


def c8(mail: Mail) -> Iterator[Remark]:
    """Both parts list the same items, as many as there are."""
    page, text = mail.page.words, " ".join(mail.mail.text.split())
    listed = [name for name in mail.names if name in page]
    plain = [name for name in mail.names if name in text]
    if listed != plain:
        yield Remark(
            f"of {len(mail.names)} items the page lists {len(listed)}, the plain part {len(plain)}",
            "use product_list(items), or list the same in the block `text`",
        )
    rows = [len([row for row in mail.texts if name in row[1]]) for name in listed]
    if rows and max(rows) != min(rows):
        yield Remark(
            "an item is listed more often than another", "look at what stands outside the loop"
        )
