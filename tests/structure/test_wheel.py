"""A user who installs the package gets what a user of the checkout has."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
STARTING_FILES = ("flows.yaml", "flows.test.yaml", "templates", "examples")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names in the wheel that `pip install .` would build."""
    folder = tmp_path_factory.mktemp("wheel")
    (artifact,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    with zipfile.ZipFile(artifact) as archive:
        return set(archive.namelist())


def files_under(path: Path) -> list[Path]:
    found = [path] if path.is_file() else path.rglob("*")
    return [file for file in found if file.is_file() and "__pycache__" not in file.parts]


def test_the_wheel_holds_the_whole_package(wheel: set[str]) -> None:
    package = {file.relative_to(ROOT).as_posix() for file in files_under(ROOT / "orchestrator")}
    assert "orchestrator/py.typed" in package
    assert package - wheel == set()


def test_the_wheel_holds_the_starting_files(wheel: set[str]) -> None:
    start = [file for name in STARTING_FILES for file in files_under(ROOT / name)]
    assert start
    names = {f"orchestrator/_starter/{file.relative_to(ROOT).as_posix()}" for file in start}
    assert names - wheel == set()


def test_the_wheel_holds_the_licence_and_nothing_else(wheel: set[str]) -> None:
    assert any(name.endswith("/licenses/LICENSE") for name in wheel)
    assert {name.split("/")[0].split("-")[0] for name in wheel} == {
        "orchestrator",
        "retention_orchestrator",
    }
