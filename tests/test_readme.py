"""The README tells the truth: its map names every room, and every command it shows exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def rooms(package):
    """Every module of a package and every folder in it, as the map writes them."""
    for path in sorted((ROOT / package).iterdir()):
        if path.is_dir() and (path / "__init__.py").exists():
            yield f"{path.name}/"
        elif path.suffix == ".py" and not path.name.startswith("__init__"):
            yield path.name


@pytest.mark.parametrize("package", ["facility", "models"])
def test_the_map_names_every_room_and_no_other(package):
    section = re.search(rf"^{package}/ .*?(?=^\S|\Z)", README, re.MULTILINE | re.DOTALL)
    assert section is not None
    named = set(re.findall(r"(?<![\w/.])[a-z_]+(?:\.py|/)(?=\s)", section[0])) - {f"{package}/"}
    assert named == set(rooms(package))


def test_every_command_in_the_readme_is_one_the_program_knows():
    shown = set(re.findall(r"^\s*(?:\.venv/bin/)?facility ([a-z]+)", README, re.MULTILINE))
    told = subprocess.run([sys.executable, "-m", "facility", "--help"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"^  ([a-z]+)  ", told, re.MULTILINE))
    assert shown
    assert shown <= known


def test_every_target_of_make_in_the_readme_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"`make ([a-z]+)", README))
    assert targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_every_site_file_in_the_readme_exists():
    assert all((ROOT / found).is_file() for found in re.findall(r"site_configs/[\w-]+\.yaml", README))
