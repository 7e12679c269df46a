"""No value of any bundle becomes markup in report.html or README.md.

In every field of a filled bundle something is put that would be markup if it were not escaped. The page and the
guide then have the elements that they have with a harmless text in its place, and no others.
"""

from __future__ import annotations

import json
import pathlib
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from dj_sqlspy.bundle import environment
from dj_sqlspy.bundle.firstrows import ENTRIES
from dj_sqlspy.bundle.guide import FORMATS, readme_text
from dj_sqlspy.bundle.render import code, markdown, visible
from dj_sqlspy.bundle.report import report_html
from dj_sqlspy.errors import BundleError
from dj_sqlspy.open_copy.page import page_html
from dj_sqlspy.open_copy.result import CopiedStatement, CopiedTable, OpenCopy
from tests.filled import BUNDLE, FIRST, FIRST_ROWS, MANIFEST, Path, changed, leaves, statement

pytestmark = [pytest.mark.line("2.x"), pytest.mark.flavor("mariadb")]  # nothing here depends on them

ELEMENTS = (
    "'\"></b></title></style></script></textarea><script>alert(1)</script><img src=//evil.org onerror=alert(1)>"
    "<svg/onload=alert(1)><evil-b evil=1> --><!-- ]]> <iframe src=javascript:alert(1)>"
    '" onmouseover="alert(1)" evil=\'1\' x=` {{ 7*7 }} {% raw %} {{ manifest }} &lt;evil-b&gt; &#60;evil-b&#62;'
)
CONTROL = "\0\x07\x1b]0;title\x07\x1b[31m\x7f\x85\x9b\u200f\u2028\u202e\u2066\udcff\ufeff\r\x0c"
SPANS = (
    "[a](javascript:alert(1)) ![b](https://evil.org/i.png) [c]: javascript:alert(1) <https://evil.org> `d` | e |"
    " **f** __g__ ~~h~~ $i$ [^1] <evil-b>j</evil-b> &lt; \\<evil-b> \\`k`"
)
# what begins a block of Markdown
BLOCKS = (
    "# h",
    "- i",
    "+ i",
    "* i",
    "1. i",
    "1) i",
    "> q",
    "    c",
    "\tc",
    "```\nf\n```",
    "~~~\nf",
    "---",
    "===",
)
BLOCKS += (
    "***",
    "<div evil=1>",
    "| a |\n|---|\n| b |",
    "[c]: javascript:alert(1)\n\n[c]",
    "a\n---",
    "a\n\nb",
)
PAYLOADS = {
    "elements": ELEMENTS,
    "control characters": CONTROL,
    "spans": SPANS,
    "link": "javascript:alert(1)//https://evil.org",
    **{f"block {number}": f"{text}\n\n{text}" for number, text in enumerate(BLOCKS)},
}
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
ALL = " ".join(PAYLOADS.values())

# Names that stand in commands of the guide, and names of tables: what has another form is refused.
IN_COMMANDS = ("flavor", "datajoint")
TABLE = re.compile(r"`((?:[^`]|``)+)`")


def around(leaf: Any, text: str) -> Any:
    """The leaf with a text around it; in a table's name, around its parts."""
    if not isinstance(leaf, str):
        return leaf
    if not TABLE.match(leaf):
        return f"{text}{leaf}{text}"
    inner = text.replace("`", "``")
    return TABLE.sub(lambda match: f"`a{inner}{match[1]}{inner}a`", leaf)


def everywhere(text: str, *left_out: str) -> Any:
    """The bundle with a text in every field, but in those of some names."""

    def change(path: Path, leaf: Any) -> Any:
        return leaf if path[-1] in left_out else around(leaf, text)

    made = changed(BUNDLE, change)
    manifest = made["manifest"]
    for mapping in (manifest["versions"], manifest["server"], manifest["environments"][0]["packages"]):
        mapping[text] = text
    manifest["tables"][1]["reasons"][text] = 2
    return made


def starred(path: Path) -> Path:
    """The way to a leaf without the places in lists."""
    return tuple("*" if isinstance(key, int) else key for key in path)


WAYS = list(dict.fromkeys(starred(path) for path, _ in leaves(BUNDLE)))


def with_leaves(ways: Collection[Path], change: Callable[[Any], Any]) -> Any:
    """The bundle with other leaves at the end of some ways."""
    return changed(BUNDLE, lambda path, leaf: change(leaf) if starred(path) in ways else leaf)


class Elements(HTMLParser):
    """Elements of a page with names of their attributes, and what else a parser finds in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []
        self.values: set[tuple[str, str]] = set()
        self.raw = {"script": "", "style": ""}
        self.others: list[str] = []
        self.last = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.last = tag
        if tag != "wbr":  # there is one after each dot of a name
            self.found.append((tag, *(name for name, _ in attrs)))
        self.values |= {(name, str(value)) for name, value in attrs}

    def handle_endtag(self, tag: str) -> None:
        self.last = ""

    def handle_data(self, data: str) -> None:
        if self.last in self.raw:
            self.raw[self.last] += data

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def hidden(text: str) -> set[str]:
    """Characters that do something and show nothing."""
    return {one for one in set(text) if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - set(
        "\n\t"
    )


def page_of(bundle: Any) -> list[tuple[str, ...]]:
    """The elements of the page, in which the rest is as it must always be."""
    return elements_of(report_html(**bundle), script="report.js", style="report.css")


def copy_page_of(bundle: Any) -> list[tuple[str, ...]]:
    """The elements of the page of an open copy."""
    manifest = bundle["manifest"]
    tables = [
        CopiedTable(one["name"], one["comment"], one["name"] * (one["rows"] > 2), one["rows"], notes)
        for one in manifest["tables"]
        for notes in [tuple((column["name"], column["comment"]) for column in one["columns"])]
    ]
    statements = [
        CopiedStatement(
            *((one["number"],), one["analysis"], one["kind"], one["sql"], one["analysis"], one["kind"]),
            cautions=(one["kind"], one["analysis"]),
        )
        for one in manifest["statements"]
    ]
    copied = OpenCopy(pathlib.Path(), tuple(tables), tuple(statements))
    return elements_of(page_html(manifest, copied, bundle["first_rows"]), style="report.css")


def elements_of(text: str, **parts: str) -> list[tuple[str, ...]]:
    assert not hidden(text)
    page = Elements(text)
    for name in page.raw:
        file = resources.files("dj_sqlspy.bundle").joinpath("pages").joinpath(parts.get(name, ""))
        assert page.raw[name].strip() == (file.read_text().strip() if name in parts else "")
    assert [tag for tag, *_ in page.found if tag in page.raw] == sorted(parts, reverse=True)
    assert page.others == ["DOCTYPE html"]
    forms = {"href": r"#[\w-]+", "id": r"[\w-]+", "class": r"[\w -]*", "style": r"(min-)?width:[\d.]+(%|px)"}
    for name, value in page.values:
        assert re.fullmatch(forms.get(name, ".*"), value, re.DOTALL | re.ASCII), (name, value)
    return page.found


def guide_of(bundle: Any) -> list[tuple[Any, ...]]:
    """What a renderer of Markdown finds in the guide: blocks and spans, and what links lead to."""
    text = readme_text(bundle["manifest"], FORMATS, bundle["replay"])
    assert not hidden(text)
    found: list[tuple[Any, ...]] = []
    for block in MARKDOWN.parse(text):
        for one in (block, *(block.children or ())):
            if one.type not in ("text", "text_special"):
                found.append((one.type, one.tag, one.info, *one.attrs.items()))
            assert str(one.attrs.get("href", "https://")).startswith("https://")
    return found


def harmless(text: str) -> str:
    """A text that is a span of code where this one is, and text where this one is."""
    return "x" if str(code(text)).startswith("`") else "x&y"


def test_every_field_is_filled() -> None:
    schema = json.loads(
        resources.files("dj_sqlspy.bundle").joinpath("schemas/manifest-1.schema.json").read_text()
    )
    jsonschema.Draft202012Validator(schema).validate(MANIFEST)
    assert {("manifest", *way) for way in fields(schema)} <= set(WAYS)


def fields(schema: Any, path: Path = ()) -> Iterator[Path]:
    """The ways to all leaves that a schema names."""
    for name, inner in schema.get("properties", {}).items():
        yield from fields(inner, (*path, name))
    if "items" in schema:
        yield from fields(schema["items"], (*path, "*"))
    elif "object" not in schema.get("type", ()):
        yield path


@pytest.mark.parametrize("text", PAYLOADS.values(), ids=PAYLOADS)
def test_text_in_every_field(text: str) -> None:
    other = harmless(text)
    # which statements stand together depends on their SQL
    evil, good = (page_of(everywhere(one, "sql", *IN_COMMANDS)) for one in (text, other))
    assert evil == good
    assert set(page_of(everywhere(text, *IN_COMMANDS))) <= set(good)
    evil, good = (copy_page_of(everywhere(one, "sql", *IN_COMMANDS)) for one in (text, other))
    assert evil == good and "svg" in {tag for tag, *_ in good}
    assert guide_of(everywhere(text, *IN_COMMANDS)) == guide_of(everywhere(other, *IN_COMMANDS))


Render = Callable[[Any], list[tuple[Any, ...]]]


def rendered(render: Render, bundle: Any) -> list[tuple[Any, ...]] | None:
    """What is found in the text that is made; None where none is made, and that is said in plain characters."""
    try:
        return render(bundle)
    except BundleError as error:
        assert not hidden(str(error))
        return None


@pytest.mark.parametrize("render", [page_of, guide_of])
def test_text_in_some_fields(render: Render) -> None:
    """Where others have the words that the page knows. Any two fields are changed apart from one another."""
    free = [way for way in WAYS if way[-1] not in (*IN_COMMANDS, "sql")]
    for group in (*(free[i::12] for i in range(12)), *(free[i : i + 12] for i in range(0, len(free), 12))):
        evil, good = (
            render(with_leaves(group, lambda leaf, text=text: around(leaf, text)))
            for text in (ALL, harmless(ALL))
        )
        assert evil == good, group
    sql = [way for way in WAYS if way[-1] == "sql"]
    assert set(render(with_leaves(sql, lambda leaf: around(leaf, ALL)))) <= set(render(BUNDLE))


@pytest.mark.parametrize("render", [page_of, guide_of])
def test_text_in_the_place_of_another_thing(render: Render) -> None:
    """Instead of numbers, truth values, names of tables and texts: it is refused, or shown as a text."""
    good = set(render(BUNDLE))
    refused = set()
    for way in WAYS:
        evil = rendered(render, with_leaves([way], lambda leaf: ALL))
        if evil is None:
            refused.add(way)
        else:
            assert set(evil) <= good, way
    formed, numbers = set(), set()
    for path, leaf in leaves(BUNDLE):
        if path[-1] in IN_COMMANDS or (isinstance(leaf, str) and TABLE.match(leaf)):
            formed.add(starred(path))
        elif type(leaf) is int:
            numbers.add(starred(path))
    assert refused <= formed | numbers
    shown = {"rows", "total_rows", "number", "size"}
    if render is page_of:
        shown |= {
            "rows_then",
            "rows_now",
            "then",
            "now",
            "source_rows",
            "slice_rows",
            "missing",
            "extra",
            "columns",
        }
        shown |= {"orphans", "lost", "values"}
    assert shown <= {way[-1] for way in refused}


def test_a_result_that_a_bundle_names_very_often() -> None:
    """The page has room for some of them only."""
    numbers = list(range(1, ENTRIES + 10))
    statements = [statement(number, f"SELECT {'subject, ' * number}1 FROM lab.subject") for number in numbers]
    page = report_html(
        {**MANIFEST, "statements": statements, "drift": []},
        first_rows={**FIRST_ROWS, "results": [{**FIRST, "numbers": numbers}]},
    )
    assert page.count('aria-label="Result: The first 2 of 3 rows"') == ENTRIES


ODD = st.text() | st.text("ab &lt;#39;\\`*_[]()<>!|~$-+=.:12\n\t\x1b\u202e")


@given(st.sampled_from(sorted(PAYLOADS.values())) | ODD.filter(str.strip))
@example("]:")  # in the text of a link it would define a reference
@example("0  0")
@settings(max_examples=400, deadline=None)
def test_markdown_shows_a_text_as_it_is(text: str) -> None:
    line = visible(" ".join(text.split()))
    assert not re.search(r"(?<!\\)(\\\\)*\$", markdown(text))  # mathematics at GitHub
    for escape in (markdown, code):
        for page in (
            "{}",
            "# {}",
            "a {} b",
            "- {}",
            "[{}](https://a.org)",
            "| a | b |\n|---|---|\n| {} | c |",
        ):
            one, other = (MARKDOWN.parse(page.format(inner)) for inner in (escape(text), "x"))
            assert [token.type for token in one] == [token.type for token in other]
            shown = [
                "".join(child.content for child in token.children or ())
                for tokens in (one, other)
                for token in tokens
            ]
            assert shown[: len(one)] == [inner.replace("x", line) for inner in shown[len(one) :]]


def test_the_environment_makes_no_lines_of_its_own() -> None:
    """A line that begins with two dashes would be an option of pip."""
    evil = everywhere("\n--a\x85b\r")["manifest"]["environments"]
    more = {environment.PIP_FILES[0]: 1}  # `everywhere` adds a package
    packages = {"--index-url": "x", "a": "1 @ https://evil.org", "b": "1"}
    entry = {**MANIFEST["environments"][0], "packages": packages}
    lines = environment.texts([entry])[environment.PIP_FILES[0]].splitlines()
    assert [line for line in lines if line[0] != "#"] == ["b==1"]
    for name, text in environment.texts(MANIFEST["environments"]).items():
        assert len(environment.texts(evil)[name].splitlines()) == len(text.splitlines()) + more.get(name, 0)


def test_links_of_a_paper() -> None:
    for about, link in (
        ({"doi": "10.1000/x(y)<z>"}, "https://doi.org/10.1000/x(y)%3Cz%3E"),
        ({"url": "https://lab.org/a?b=c#d"}, "https://lab.org/a?b=c#d"),
        ({"doi": "javascript:alert(1)", "url": "https://lab.org"}, None),
        *(
            ({"url": text}, None)
            for text in ("javascript:alert(1)", "data:text/html,x", "https:x", "//a.org")
        ),
        *(({"url": f"https://a.org/{text}"}, None) for text in ("> <b>", "\n", " ", '"', "\x1b", "\u202e")),
        (
            {"authors": [{"name": "x", "orcid": "0000-0002-1825-0097"}]},
            "https://orcid.org/0000-0002-1825-0097",
        ),
        ({"authors": [{"name": "x", "orcid": "0000-0002-1825-0097)"}]}, None),
    ):
        found = guide_of({**BUNDLE, "manifest": {**MANIFEST, "about": about}})
        links = {value for _, _, _, *attributes in found for name, value in attributes if name == "href"}
        own = {"https://datajoint.com", "https://pypi.org/project/dj-sqlspy/"}
        assert links == own | ({link} if link else set()), about
