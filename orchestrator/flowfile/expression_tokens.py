"""Reading an expression with Jinja's own lexer and parser, with the place of every token.

Jinja counts lines; a marketer's condition is one line. Every token is therefore given its offset
in the text in place of its line number, and the nodes of the tree inherit it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import NoReturn

from jinja2 import Environment, nodes
from jinja2.exceptions import TemplateSyntaxError
from jinja2.lexer import Token, TokenStream
from jinja2.parser import Parser

from orchestrator.domain.expressions import Problem
from orchestrator.domain.expressions.arithmetic import read_number

LONGEST_TEXT = 4_000
_MOST_BRACKETS = 20
_MOST_PREFIXES = 10
_ENVIRONMENT = Environment(autoescape=True)  # only its lexer and parser are used
_INNER_WORDS = frozenset({"and", "or", "in", "is", "if", "else"})
_PREFIXES = frozenset({"not", "-", "+"})
_ESCAPE = re.compile(r"\\(?:[\\'\"nt]|u(?!d[89a-f])[0-9a-f]{4})|(?P<wrong>\\)", re.IGNORECASE)

#: What people write from habit, and what it is called here. Longest first.
_SLIPS = (
    ("{{", "a condition stands without {{ }}", "remove the braces"),
    ("{%", "a condition stands without {% %}", "remove the braces"),
    ("}}", "a condition stands without {{ }}", "remove the braces"),
    ("&&", '"&&" is not known', "write `and`"),
    ("||", '"||" is not known', "write `or`"),
    ("**", '"**" (power) is not available', "multiply instead"),
    ("===", '"===" is not known', "write `==`"),
    ("=>", '"=>" is not known', "write `>=`"),
    ("<>", '"<>" is not known', "write `!=`"),
    ("&", '"&" is not known', "write `and`"),
    ("!", '"!" is not known', "write `not`"),
    ("^", '"^" is not known', "multiply instead of a power"),
    ("?", '"?" is not known', "write `a if condition else b`, or `is none` for what is missing"),
    (";", '";" is not known', "write one condition; join two with `and`"),
    ("$", '"$" is not known', "write the number alone; totals are in the shop's currency"),
    ("{", "groups in braces are not available", "write a list in [ ]"),
    ("}", '"}" closes nothing', "remove it"),
    (")", '")" closes nothing', "remove it, or open it with ("),
    ("]", '"]" closes nothing', "remove it, or open it with ["),
    ("“", "curly quotes are not known", "write straight quotes: 'text'"),
    ("”", "curly quotes are not known", "write straight quotes: 'text'"),
    ("\u2018", "curly quotes are not known", "write straight quotes: 'text'"),
    ("\u2019", "curly quotes are not known", "write straight quotes: 'text'"),
    ("„", "curly quotes are not known", "write straight quotes: 'text'"),
    ("'", "the quote is never closed", "write ' at the end of the text"),
    ('"', "the quote is never closed", 'write " at the end of the text'),
    ("=", '"=" is not a comparison', "write `==`"),
)
_WORD_SLIPS = {
    "AND": "write `and` in small letters",
    "OR": "write `or` in small letters",
    "NOT": "write `not` in small letters",
    "IS": "write `is` in small letters",
    "IN": "write `in` in small letters",
    "contains": "turn it round: `'vip' in contact.tags`, or has(contact.tags, 'vip')",
    "includes": "turn it round: `'vip' in contact.tags`, or has(contact.tags, 'vip')",
    "between": "write a chain: `10 <= event.total <= 50`",
    "equals": "write `==`",
    "like": "write `'part' in contact.email`",
}


class Unreadable(Exception):
    """The text is no expression; caught by `syntax_of` alone, with the problem it carries."""

    def __init__(self, problem: Problem) -> None:
        """Keep the problem."""
        super().__init__(problem.message)
        self.problem = problem


def syntax_of(text: str) -> nodes.Expr | Problem:
    """Jinja's tree of an expression, `lineno` being offsets; or why there is none."""
    try:
        _refuse_at_sight(text)
        tokens = list(_tokens(text))
        _refuse_nesting(text, tokens)
        return _parsed(text, tokens)
    except Unreadable as unreadable:
        return unreadable.problem


def _fail(offset: int, length: int, message: str, hint: str) -> NoReturn:
    raise Unreadable(Problem(offset, max(1, length), message, hint))


def _refuse_at_sight(text: str) -> None:
    if not text.strip():
        _fail(0, 1, "the expression is empty", "write a condition, or remove the key")
    if len(text) > LONGEST_TEXT:
        hint = f"at most {LONGEST_TEXT} characters: move a part into a segment"
        _fail(0, 1, f"the expression is too long ({len(text)} characters)", hint)
    if "\0" in text:
        _fail(text.index("\0"), 1, "a zero byte cannot stand in a text", "remove it")


def _tokens(text: str) -> Iterator[Token]:
    """Tokens of the text, each with its offset where Jinja keeps a line number."""
    source = text.replace("\r\n", " \n").replace("\r", "\n")  # offsets stay as they are
    offset = 0
    try:
        for _, kind, value in _ENVIRONMENT.lexer.tokeniter(source, None, None, "variable"):
            yield from _token(offset, kind, value)
            offset += len(value)
    except TemplateSyntaxError:
        _unexpected(text, offset)


def _token(offset: int, kind: str, value: str) -> Iterator[Token]:
    if kind in {"variable_end", "block_end", "variable_begin", "block_begin"}:
        _unexpected(value, 0, offset)
    if kind == "string":
        _check_text(offset, value)
    if kind in {"integer", "float"}:
        yield Token(offset, kind, _number(offset, value))  # type: ignore[arg-type]
    else:
        yield from _ENVIRONMENT.lexer.wrap([(offset, kind, value)])


def _check_text(offset: int, value: str) -> None:
    wrong = next((found for found in _ESCAPE.finditer(value) if found["wrong"]), None)
    if wrong:
        place = offset + wrong.start()
        _fail(place, 2, "a backslash begins nothing known here", r"write \\ for a backslash")
    if "\\u0000" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        _fail(offset, len(value), "the text holds a character that is none", "remove it")


def _number(offset: int, value: str) -> Decimal:
    if value.startswith(("0x", "0X", "0b", "0B", "0o", "0O")):
        _fail(offset, len(value), f"{value} is not a decimal number", "write it in digits")
    number = read_number(Decimal(value.replace("_", "")))
    if number is None:
        hint = "at most 30 digits before and after the point"
        _fail(offset, len(value), "the number is too big", hint)
    return number


def _unexpected(text: str, at: int, base: int = 0) -> NoReturn:
    """Report what the lexer or parser stumbled over, by the slip it looks like."""
    rest = text[at:]
    for slip, message, hint in _SLIPS:
        if rest.startswith(slip):
            _fail(base + at, len(slip), message, hint)
    word = re.match(r"\w+|.", rest, re.DOTALL)
    found = word.group() if word else rest
    hint = _WORD_SLIPS.get(found) or "remove it, or join two conditions with `and` or `or`"
    _fail(base + at, len(found), f'"{found}" is not expected here', hint)


def _refuse_nesting(text: str, tokens: list[Token]) -> None:
    """Keep Jinja's recursive parser from running away."""
    level = prefixes = 0
    for token in tokens:
        opened = token.type in {"lparen", "lbracket", "lbrace"}
        level += opened - (token.type in {"rparen", "rbracket", "rbrace"})
        prefix = token.value in _PREFIXES and token.type in {"name", "sub", "add"}
        prefixes = prefixes + 1 if prefix else 0
        if token.type in {"lbrace", "pow"}:
            _unexpected(text, token.lineno)
        if level > _MOST_BRACKETS or prefixes > _MOST_PREFIXES:
            hint = "write it flatter, or move a part into a segment"
            _fail(token.lineno, 1, "the expression is nested too deeply", hint)


def _parsed(text: str, tokens: list[Token]) -> nodes.Expr:
    parser = Parser(_ENVIRONMENT, "", state="variable")
    parser.stream = TokenStream(iter(tokens), None, None)
    try:
        tree = parser.parse_expression()
    except (TemplateSyntaxError, RecursionError):
        return _stumbled(text, tokens, parser.stream)
    return tree if parser.stream.eos else _stumbled(text, tokens, parser.stream)


def _stumbled(text: str, tokens: list[Token], stream: TokenStream) -> NoReturn:
    current = stream.current
    if stream.eos:
        unclosed = _unclosed(tokens)
        if unclosed:
            sign = text[unclosed.lineno]
            closing = ")" if sign == "(" else "]"
            _fail(unclosed.lineno, 1, f'"{sign}" is never closed', f'write "{closing}" at its end')
        end = len(text.rstrip())
        _fail(end, 1, "the expression ends too early", "complete it, or remove the last sign")
    at = current.lineno
    first = tokens[0]
    if first.value in _INNER_WORDS and first.type == "name":
        message = f'an expression does not begin with "{first.value}"'
        _fail(first.lineno, len(first.value), message, "write a condition before it, or remove it")
    if current.type == "rbrace":
        _unexpected("}", 0, at)
    start = at - 1 if text[at - 1 : at] == "|" else at
    if text.startswith("||", start):
        _unexpected(text, start)
    if current.type == "gt" and text[at - 1 : at] in {"<", "="}:
        _unexpected(text, at - 1)
    if current.type == "assign" and text[at - 2 : at] == "==":
        _unexpected(text, at - 2)
    _unexpected(text, at)


def _unclosed(tokens: list[Token]) -> Token | None:
    opened: list[Token] = []
    for token in tokens:
        if token.type in {"lparen", "lbracket"}:
            opened.append(token)
        elif token.type in {"rparen", "rbracket"} and opened:
            opened.pop()
    return opened[-1] if opened else None
