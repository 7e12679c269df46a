"""The pages in docs/: what they tell to run runs and prints what they say, and they name only what is there."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

import dj_sqlspy as sqlspy
from dj_sqlspy.cli import main
from dj_sqlspy.paper.bundle import Bundle
from dj_sqlspy.servers import private_server
from dj_sqlspy.slices import Slice
from tests import api, pages, readme
from tests.conftest import FLAVOR
from tests.lab import ROOT

DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "docs" / name for name in ("capture.md", "coming-from-spyglass.md", "accounts.md")]
REFERENCE = ROOT / "docs" / "reference.md"
OWNERS: dict[str, Any] = {"sqlspy": sqlspy, "paper": sqlspy.Paper, "bundle": Bundle, "cut": Slice}

# Each page with examples runs in one cell of the matrix, so that every cell has one.
RUN_IN = {
    "tutorial": ("0.14", "mariadb"),
    "how-to": ("2.x", "mysql"),
    "capture": ("0.14", "mysql"),
    "coming-from-spyglass": ("2.x", "mariadb"),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.line(line), pytest.mark.flavor(flavor)])
        for name, (line, flavor) in RUN_IN.items()
    ],
)
def test_the_examples_of_a_page_print_what_it_says(name: str, tmp_path: Path) -> None:
    examples = readme.examples((ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8"))
    with private_server(FLAVOR) as server:  # type: ignore[arg-type]
        printed = pages.run(examples, server, tmp_path)
    for example, output in zip(examples, printed, strict=True):
        if example.language in readme.CHECKED:
            assert not readme.differs(example.output, output), example.source


def test_no_page_with_examples_is_left_out() -> None:
    for page in DOCS:
        text = page.read_text(encoding="utf-8")
        assert bool(readme.examples(text)) == (page.stem in RUN_IN), page
        fences = re.findall(r"^ *```+(.*)$", text, re.MULTILINE)
        assert len(fences) % 2 == 0 and not any(fences[1::2]), page
        assert set(fences[0::2]) <= {*readme.RUN, *readme.SHOWN}, page


def test_links_lead_somewhere() -> None:
    for page in (*DOCS, ROOT / "README.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_reference_is_current() -> None:
    """docs/reference.md is what the docstrings give; SQLSPY_WRITE_DOCS=1 writes it."""
    if os.environ.get("SQLSPY_WRITE_DOCS"):
        REFERENCE.write_text(api.page(), encoding="utf-8")
    assert REFERENCE.read_text(encoding="utf-8") == api.page()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_names_in_a_page_exist(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = page.read_text()
    for owner, name in re.findall(r"\b(sqlspy|paper|bundle|cut)\.([a-z_]+|Paper)\b", text):
        settings = owner == "sqlspy" and name in sqlspy.settings.DEFAULTS
        assert settings or hasattr(OWNERS[owner], name) or name == "tables", f"{owner}.{name}"
    for command in {found for found in re.findall(r"dj-sqlspy ([a-z]+) [^a-z]*[-A-Za-z]", text)}:
        if command in ("run", "merge", "recover", "show", "forget", "write", "files"):
            with pytest.raises(SystemExit) as stopped:
                main([command, "--help"])
            assert stopped.value.code == 0
            shown = capsys.readouterr().out
            line = "".join(re.findall(rf"dj-sqlspy {command} (.*)", text))
            for option in re.findall(r"(?<![\w-])--[a-z-]+", line):
                assert option in shown or option == "--speed", f"{command} {option}"


# the public names of spyglass-neuro 0.6.0: common_usage.py, utils/mixins/export.py, RestrGraph of utils/dj_graph.py
SPYGLASS = """
ExportMixin SpyglassMixin ExportSelection ExportSelection.Table ExportSelection.File Export Export.Table Export.File
ExportErrorLog export_id start_export stop_export insert1_return_pk list_file_paths get_restr_graph preview_tables
show_all_tables paper_export_id populate_paper prepare_files_for_export included_nwb_files n_processes log_export
compare_versions undo_projection is_restr fetch1 fetch_nwb restrict join RestrGraph seed_table leaves destinations
direction include_files cascade verbose skip_external add_leaf add_leaves default_restriction leaf_ft restr_ft all_ft
ft_from_list as_dict included_tables hash whitelist analysis_file_tbl file_externals cascade_files file_dict file_paths
restr_analysis_file_linked_ft enforce_restr_strings
"""


def test_every_name_of_the_export_of_spyglass_is_mapped() -> None:
    left = {line.split("|")[1] for line in PAGES[1].read_text().splitlines() if line.startswith("| ")}
    named = {word for cell in left for word in re.findall(r"[A-Za-z_][\w.]*", cell)}
    named |= {part for word in named for part in word.split(".")}
    assert [name for name in SPYGLASS.split() if name not in named] == []
