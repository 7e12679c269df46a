"""A small lab, the same in every test that names its rows: as a `random_schema.Schema` with rows.

Lookup `#species`, subjects (a master, with the part `subject__note`), sessions (key of two columns), probes
that may refer to a session, an analysis chain, and `log_by_hand` without a primary key; views `adults` and
`counted`, the second on the first.
"""

from __future__ import annotations

from tests.random_schema import Column, Reference, Rows, Schema, Table, View


def _table(name: str, columns: str, key: str, *references: Reference, master: str | None = None) -> Table:
    made = []
    for item in columns.split():
        column, _, type_ = item.partition(":")
        made.append(Column(column, type_.rstrip("?"), type_.endswith("?")))
    return Table(name, "A", tuple(made), tuple(key.split()), references, (), master)


def _to(parent: str, *columns: str, their: tuple[str, ...] = ()) -> Reference:
    return Reference(columns, parent, their or columns)


SCHEMA = Schema(
    (
        _table("#species", "species:txt legs:int", "species"),
        _table(
            "subject",
            "subject:int species:txt? dob:day? weight:dec?",
            "subject",
            _to("#species", "species"),
        ),
        _table(
            "subject__note",
            "subject:int n:int text:txt?",
            "subject n",
            _to("subject", "subject"),
            master="subject",
        ),
        _table(
            "session",
            "subject:int session:int day:day? score:int?",
            "subject session",
            _to("subject", "subject"),
        ),
        _table(
            "probe",
            "probe:int owner:int? follows:int? sites:jsn?",
            "probe",
            _to("subject", "owner", their=("subject",)),
            _to("probe", "follows", their=("probe",)),
        ),
        _table("log_by_hand", "subject:int? text:txt?", ""),
    ),
    (
        View(
            "adults",
            (Column("subject", "int"), Column("species", "txt", True)),
            "SELECT subject, species FROM `SCHEMA_A`.`subject` WHERE dob < '2020-01-04'",
        ),
        View(
            "counted",
            (Column("species", "txt", True), Column("n", "int")),
            "SELECT species, COUNT(*) AS n FROM `SCHEMA_A`.`adults` GROUP BY species",
        ),
    ),
    (
        "CREATE FUNCTION `SCHEMA_A`.`twice`(n INT) RETURNS INT DETERMINISTIC RETURN 2 * n",
        "CREATE PROCEDURE `SCHEMA_A`.`report`() READS SQL DATA SELECT * FROM `SCHEMA_A`.`session`",
    ),
)

ROWS: Rows = {
    "#species": [("'mouse'", "4"), ("'rat'", "4"), ("'bird'", "2")],
    "subject": [
        ("1", "'mouse'", "'2020-01-01'", "20.50"),
        ("2", "'Mouse'", "'2020-01-03'", "22.00"),
        ("3", "'rat'", "'2020-01-03'", "300.00"),
        ("4", "'rat'", "NULL", "NULL"),
        ("5", "NULL", "'2020-01-05'", "22.00"),
    ],
    "subject__note": [("1", "1", "'calm'"), ("1", "2", "NULL"), ("3", "1", "'bites'")],
    "session": [
        ("1", "1", "'2020-02-01'", "5"),
        ("1", "2", "'2020-02-02'", "7"),
        ("2", "1", "'2020-02-02'", "NULL"),
        ("3", "1", "'2020-02-05'", "5"),
        ("3", "2", "NULL", "9"),
    ],
    "probe": [
        ("1", "1", "NULL", "'[1, 2]'"),
        ("2", "1", "1", "'[3]'"),
        ("3", "NULL", "2", "NULL"),
        ("4", "4", "NULL", "'[]'"),
    ],
    "log_by_hand": [("1", "'came'"), ("1", "'came'"), ("4", "NULL"), ("NULL", "'door'")],
}
