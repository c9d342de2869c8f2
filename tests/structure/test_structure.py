"""The caps and habits of the house, on every file that is committed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median

import pytest
from importlinter.cli import lint_imports

ROOT = Path(__file__).parents[2]

MODULE_LINES = 400
FUNCTION_LINES = 50
MEDIAN_FUNCTION_LINES = 10

VAGUE_NAMES = re.compile(
    r"(utils?|helpers?|managers?|commons?|handlers?|process(es|ors?)?|data|misc)"
)
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME)\b")
NAMELESS_SUPPRESSION = re.compile(r"#\s*(noqa(?!:\s*[A-Z]+[0-9])|type:\s*ignore(?!\[[a-z]))")
MACHINE_PATH = re.compile(r"(?<![\w.~/-])/(home|root|Users|work|tmp|private|opt)/\w")

TOP_LEVEL = {
    ".ci",
    ".editorconfig",
    ".gitattributes",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "bench",
    "docs",
    "examples",
    "flows.test.yaml",
    "flows.yaml",
    "hatch_build.py",
    "orchestrator",
    "pyproject.toml",
    "requirements",
    "templates",
    "tests",
}

STDLIB_ONLY = ("orchestrator/domain/", "orchestrator/ports", "orchestrator/services/")


@cache
def committed_files() -> tuple[Path, ...]:
    """Every tracked file that is still there; a checkout owned by another user counts too."""
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return tuple(ROOT / name for name in listing.split("\0") if (ROOT / name).is_file())


def committed_texts() -> Iterator[tuple[str, str]]:
    for path in committed_files():
        content = path.read_bytes()
        if b"\0" not in content:
            yield name_of(path), content.decode(errors="replace")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def package_modules() -> list[Path]:
    return [
        path
        for path in committed_files()
        if path.suffix == ".py" and path.is_relative_to(ROOT / "orchestrator")
    ]


def lines_matching(pattern: re.Pattern[str], *, only: str = "") -> list[str]:
    return [
        f"{name}:{number}: {line.strip()}"
        for name, text in committed_texts()
        if name.endswith(only)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


@cache
def function_lengths() -> dict[str, int]:
    """Lines of every function of the package, its docstring included."""
    return {
        f"{name_of(path)}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in package_modules()
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def foreign_imports(path: Path) -> set[str]:
    """Names of top-level packages that are neither the standard library's nor this project's."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"orchestrator"}


def locked_versions(name: str) -> dict[str, str]:
    text = (ROOT / "requirements" / name).read_text()
    return dict(re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE))


def test_no_module_exceeds_its_cap() -> None:
    lengths = {name_of(path): len(path.read_bytes().splitlines()) for path in package_modules()}
    assert {name: length for name, length in lengths.items() if length > MODULE_LINES} == {}


def test_no_function_exceeds_its_cap() -> None:
    lengths = function_lengths()
    assert {name: length for name, length in lengths.items() if length > FUNCTION_LINES} == {}


def test_the_typical_function_is_short() -> None:
    assert median(function_lengths().values()) < MEDIAN_FUNCTION_LINES


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = [
        name_of(path)
        for path in package_modules()
        if any(VAGUE_NAMES.fullmatch(part) for part in path.relative_to(ROOT).with_suffix("").parts)
    ]
    assert vague == []


def test_nothing_committed_is_left_for_later() -> None:
    assert lines_matching(UNFINISHED) == []


def test_every_suppression_names_its_code() -> None:
    assert lines_matching(NAMELESS_SUPPRESSION, only=".py") == []


def test_the_top_level_holds_what_it_should() -> None:
    names = {path.relative_to(ROOT).parts[0] for path in committed_files()}
    assert names - TOP_LEVEL == set()


def test_no_machine_path_is_committed() -> None:
    assert lines_matching(MACHINE_PATH) == []


@pytest.mark.parametrize("lock", ["run.txt", "dev.txt"])
def test_lock_files_carry_no_address(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()
    assert (
        re.findall(r"^.*(?:://|--(?:extra-)?index|--find-links| @ ).*$", text, re.MULTILINE) == []
    )


def test_the_suite_runs_on_the_versions_that_are_shipped() -> None:
    run = locked_versions("run.txt")
    assert run
    assert run.items() <= locked_versions("dev.txt").items()


def test_the_core_imports_the_standard_library_alone() -> None:
    core = [path for path in package_modules() if name_of(path).startswith(STDLIB_ONLY)]
    assert core
    assert {name_of(path): foreign for path in core if (foreign := foreign_imports(path))} == {}


def test_import_contracts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    # It configures logging anew, which would switch off every logger the process has.
    monkeypatch.setattr("logging.config.dictConfig", lambda _settings: None)
    assert lint_imports(no_cache=True) == 0


def test_no_contract_watches_a_room_that_is_not_in_the_plan() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (contract["layers"] for contract in settings["contracts"] if "layers" in contract)
    rooms = set(re.findall(r"\w+", " ".join(layers)))
    watched = set(re.findall(r"'(?:\*|orchestrator)\.(\w+)", str(settings["contracts"])))
    assert watched
    assert watched - rooms == set()


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (UNFINISHED, "x = 1  # TO" + "DO later"),
        (NAMELESS_SUPPRESSION, "import x  # no" + "qa"),
        (NAMELESS_SUPPRESSION, "import x  # type: ig" + "nore"),
        (MACHINE_PATH, "see /ho" + "me/ada/notes"),
    ],
)
def test_the_rules_catch_what_they_are_for(pattern: re.Pattern[str], line: str) -> None:
    assert pattern.search(line)
