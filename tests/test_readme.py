"""What the README says, run."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.mark.slow
def test_the_python_of_the_readme_runs_from_top_to_bottom(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scope = {}
    for block in blocks("python"):
        exec(compile(block, "README.md", "exec"), scope)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_first_two_commands_install_and_run_in_a_fresh_clone():
    train, tests = (block.strip() for block in blocks("bash")[:2])
    assert train == "python3 -m venv .venv && .venv/bin/pip install -q -e . && .venv/bin/dlcore train"
    assert tests == "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/pytest"


def test_every_picture_and_file_that_the_readme_names_is_there():
    for name in re.findall(r"\]\(([^)#:]+)\)", README) + re.findall(r"`((?:notebooks|experiments)/[\w./]+)`", README):
        assert (ROOT / name).exists(), name
