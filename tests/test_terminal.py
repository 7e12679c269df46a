"""Control characters of statements and names reach no terminal: they are written out."""

from __future__ import annotations

import doctest
import io
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text

import dj_sqlspy as sqlspy
from dj_sqlspy.bundle.folder import BundleFolder
from dj_sqlspy.bundle.manifest import manifest_text
from dj_sqlspy.cascade.plan import Plan, Step
from dj_sqlspy.cli import main, terminal
from dj_sqlspy.display import Visible, as_text, one_line, short, visible
from dj_sqlspy.external import File
from dj_sqlspy.external.copies import Copied
from dj_sqlspy.journal import Journal
from dj_sqlspy.replay.statements import ReplayReport, StatementResult
from dj_sqlspy.rules import POLICIES
from tests.filled import MANIFEST
from tests.test_markup import CONTROL

# nothing here depends on a server
pytestmark = pytest.mark.flavor("mariadb")


def test_examples() -> None:
    assert doctest.testmod(terminal).failed == 0


def obeyed(text: str) -> list[str]:
    """The characters that a terminal would do something by."""
    return [character for character in text if character != "\n" and visible(character) != character]


def captured(home: Path, analysis: str) -> None:
    made = Journal(home, "p\x1b", analysis, POLICIES)
    made.start()
    text = CONTROL.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    made.statement(f"SELECT '{text}' FROM `a{text}`", 1, "data", "", 0)
    made.end()


def test_commands(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    captured(home, "fig\x1b]0;title\x07\x9b31m")
    journal = next(home.rglob("*.journal"))
    journal.write_bytes(journal.read_bytes() + b"00000000 {}\n")  # a problem, which names the file
    paper, analysis = "p\x1b", "fig\x1b]0;title\x07\x9b31m"
    for words, code in (
        (["papers"], 0),
        (["show", paper], 0),
        (["show", paper, "--statements"], 0),
        (["recover", paper, analysis], 0),
        (["recover", paper, analysis, "--run", "9"], 1),
        (["forget", paper, "none\x1b[31m"], 1),
        (["report", f"{home}/none\x1b[31m"], 1),
        (["merge", f"{home}/none\x1b[31m"], 1),
    ):
        assert main(words) == code
        said = "".join(capsys.readouterr())
        assert said and obeyed(said) == [], words
        assert words[0] not in ("papers", "show") or "\\x1b" in said


def test_objects_that_python_shows(home: Path, tmp_path: Path) -> None:
    captured(home, "fig\x1b[31m")
    (analysis,) = sqlspy.Paper("p\x1b").analyses
    text = manifest_text({**MANIFEST, "paper": "p\x1b[31m", "code": []})
    (tmp_path / "manifest.json").write_text(text)
    copied = Copied(tmp_path, 0, 0, 0, 0, ((File("raw", "a\x1b[31m", "blob", None, None), "gone"),))
    for made in (analysis, BundleFolder(tmp_path), Plan((Step("read \x1b[31m", "once"),)), copied):
        for shown in (str(made), repr(made)):
            assert obeyed(shown) == [] and "\\x1b[31m" in shown


def test_what_is_drawn_in_colours() -> None:
    """The colours are ours; what is in the cells is only text."""
    table = Table(title=f"title{CONTROL}")
    table.add_column(f"heading{CONTROL}")
    table.add_row(Text(f"cell{CONTROL}", style="red"))
    plain = io.StringIO()
    Console(file=plain, width=400, color_system=None).print(Visible(table))
    assert obeyed(plain.getvalue()) == [] and "\\x1b[31m" in plain.getvalue()
    coloured = io.StringIO()
    Console(file=coloured, width=400, color_system="truecolor", force_terminal=True).print(Visible(table))
    assert "\x1b[31m" in coloured.getvalue() and "\\x1b[31m" in coloured.getvalue()
    assert "\x07" not in coloured.getvalue() and "\x9b" not in coloured.getvalue()
    assert obeyed(as_text([table, Text(CONTROL)])) == []


def test_texts_in_a_line() -> None:
    for made in (one_line(CONTROL), short(CONTROL), one_line(f"a\ud800{CONTROL}", 5)):
        assert obeyed(made) == []


def test_the_report_of_a_replay() -> None:
    result = StatementResult(
        f"SELECT '{CONTROL}'",
        *((1,), (f"fig{CONTROL}",), ("data",), frozenset(), "error"),
        message=f"error: {CONTROL}",
        missing=1,
        missing_rows=(f"('{CONTROL}')",),
    )
    out = io.StringIO()
    Console(file=out, width=400, color_system=None).print(Visible(ReplayReport((result,), ())))
    assert obeyed(out.getvalue()) == [] and "\\x1b[31m" in out.getvalue()
