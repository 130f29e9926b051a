"""What the pages say is what the code does."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import etl
from etl.cli._docs import docs_commands

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_page_of_commands_is_current() -> None:
    assert (ROOT / "docs" / "commands.md").read_text() == docs_commands(), "run make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_make_targets_that_the_readme_names_exist() -> None:
    named = set(re.findall(r"[`$] ?make ([a-z]+)", README))
    assert {"demo", "test", "help"} <= named
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in named)


def readme_commands() -> list[list[str]]:
    lines = re.findall(r"^\$ (accesslake .*)$", README, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


def test_readme_commands_run(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    corpus = ROOT / "tests" / "corpus" / "aws-docs-2026-27fields.log"
    (logs / "2026-07-01-00-00-00-0123456789ABCDEF").write_bytes(corpus.read_bytes())
    (tmp_path / "suspicious.log").write_bytes(corpus.read_bytes())
    commands = readme_commands()
    assert len(commands) >= 9
    for command in commands:
        arguments = [argument for argument in command[1:] if not argument.startswith("s3://")]
        done = subprocess.run(
            [sys.executable, "-m", "etl.cli", *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, (command, done.stderr)
        assert done.stdout


def test_readme_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    corpus = (ROOT / "tests" / "corpus" / "aws-docs-2026-27fields.log").read_bytes()
    (tmp_path / "logs").mkdir()
    (tmp_path / "access.log").write_bytes(corpus)
    (tmp_path / "logs" / "a.log").write_bytes(corpus)
    monkeypatch.chdir(tmp_path)
    code = re.sub(r'open\("access.log", "rb"\).read\(\)', 'Path("access.log").read_bytes()', code)
    names: dict[str, object] = {"Path": Path}
    exec(compile(code, "README.md", "exec"), names)
    parsed = names["parsed"]
    assert isinstance(parsed, etl.Parsed)
    assert parsed.table.num_rows == 3
    assert len(etl.open_lake("lake").snapshot().raw) == 1


def test_the_surface_of_the_library() -> None:
    for name in etl.__all__:
        assert getattr(etl, name) is not None
    for verb in ("audit", "compact", "ingest", "parse", "query"):
        assert callable(getattr(etl, verb))
