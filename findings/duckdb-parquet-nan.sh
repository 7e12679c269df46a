#!/usr/bin/env bash
# DuckDB 2 finds no NaN in Parquet files of pyarrow and polars: WHERE isnan(x) has no rows, NOT isnan(x) has all.
#
# Guess: a condition on a Parquet file returns the rows that it returns on the table the file was made of.
# Seen: the statistics in a Parquet file leave NaN out, as its format says, and DuckDB takes them to mean that there is
#   none. 1.5.5 did so for comparisons: x > 5 loses NaN (which counts as the greatest), x <= 3 includes it.
#   Since 2.0 isnan(x) is false of NaN as well, in WHERE, CASE and sums; so avg(x) WHERE NOT isnan(x) is NaN.
#   isfinite(x) is right, read_parquet(…, can_have_nan=true) is right, files that DuckDB wrote are right, and so
#   are polars and a table in DuckDB. Neither an error nor a warning.
# Versions: DuckDB 1.5.5 and 2.0.1, pyarrow 26.0.1, polars 2.1.0.
# Why it matters: NaN marks samples that were lost. With an upgrade the condition that leaves them out keeps them, and
#   a count of them says 0 for data that has them.
# Source: DuckDB's issue 25521 (September 2026) has the comparisons; none found for isnan. Pull request 25550
#   (September 2026) made functions prune by statistics.
. "$(dirname "$0")/common.sh"
environment one duckdb==1.5.5 pyarrow==26.0.1 polars==2.1.0
environment two duckdb==2.0.1 pyarrow==26.0.1 polars==2.1.0

cat >"$work/try.py" <<'END'
import sys

import duckdb
import polars
import pyarrow
import pyarrow.parquet

print("DuckDB", duckdb.__version__, "pyarrow", pyarrow.__version__, "polars", polars.__version__, file=sys.stderr)
label = "DuckDB " + duckdb.__version__.split(".")[0]
table = pyarrow.table({"sample": [1, 2, 3, 4], "x": [1.0, float("nan"), 3.0, float("nan")]})
files = {writer: f"'{sys.argv[1]}/{writer}.parquet'" for writer in ("pyarrow", "polars", "duckdb")}
pyarrow.parquet.write_table(table, files["pyarrow"][1:-1])
polars.from_arrow(table).write_parquet(files["polars"][1:-1])
duckdb.execute(f"COPY \"table\" TO {files['duckdb']} (FORMAT parquet)")
duckdb.execute('CREATE TABLE kept AS SELECT * FROM "table"')
sources = {"a table": "kept"} | {f"a file of {writer}": path for writer, path in files.items()}
sources["with can_have_nan"] = f"read_parquet({files['pyarrow']}, can_have_nan=true)"
for where, source in sources.items():
    rows = lambda condition: [row for (row,) in duckdb.execute(f"SELECT sample FROM {source} WHERE {condition} ORDER BY 1").fetchall()]
    conditions = ("isnan(x)", "NOT isnan(x)", "NOT isfinite(x)", "x > 5", "x <= 3")
    print(f"{label}, {where}:", ", ".join(f"{condition} {rows(condition)}" for condition in conditions))
    value = duckdb.execute(f"SELECT sum(isnan(x)::INT)::INT, avg(CASE WHEN isnan(x) THEN NULL ELSE x END) FROM {source}").fetchall()
    print(f"{label}, {where}: count of NaN and mean of the others {value[0]}")
if label == "DuckDB 2":
    found = polars.scan_parquet(files["pyarrow"][1:-1]).filter(polars.col.x.is_nan()).collect()
    print("polars, a file of pyarrow: is_nan", found["sample"].to_list())
END
for version in one two; do
    mkdir "$work/files-$version"
    see "$work/$version/bin/python" "$work/try.py" "$work/files-$version"
done
compare <<'END'
DuckDB 1, a table: isnan(x) [2, 4], NOT isnan(x) [1, 3], NOT isfinite(x) [2, 4], x > 5 [2, 4], x <= 3 [1, 3]
DuckDB 1, a table: count of NaN and mean of the others (2, 2.0)
DuckDB 1, a file of pyarrow: isnan(x) [2, 4], NOT isnan(x) [1, 3], NOT isfinite(x) [2, 4], x > 5 [], x <= 3 [1, 2, 3, 4]
DuckDB 1, a file of pyarrow: count of NaN and mean of the others (2, 2.0)
DuckDB 1, a file of polars: isnan(x) [2, 4], NOT isnan(x) [1, 3], NOT isfinite(x) [2, 4], x > 5 [], x <= 3 [1, 2, 3, 4]
DuckDB 1, a file of polars: count of NaN and mean of the others (2, 2.0)
DuckDB 1, a file of duckdb: isnan(x) [2, 4], NOT isnan(x) [1, 3], NOT isfinite(x) [2, 4], x > 5 [2, 4], x <= 3 [1, 3]
DuckDB 1, a file of duckdb: count of NaN and mean of the others (2, 2.0)
DuckDB 1, with can_have_nan: isnan(x) [2, 4], NOT isnan(x) [1, 3], NOT isfinite(x) [2, 4], x > 5 [2, 4], x <= 3 [1, 3]
DuckDB 1, with can_have_nan: count of NaN and mean of the others (2, 2.0)
DuckDB 2, a table: isnan(x) [2, 4], NOT isnan(x) [1, 3], NOT isfinite(x) [2, 4], x > 5 [2, 4], x <= 3 [1, 3]
DuckDB 2, a table: count of NaN and mean of the others (2, 2.0)
DuckDB 2, a file of pyarrow: isnan(x) [], NOT isnan(x) [1, 2, 3, 4], NOT isfinite(x) [2, 4], x > 5 [], x <= 3 [1, 2, 3, 4]
DuckDB 2, a file of pyarrow: count of NaN and mean of the others (0, nan)
DuckDB 2, a file of polars: isnan(x) [], NOT isnan(x) [1, 2, 3, 4], NOT isfinite(x) [2, 4], x > 5 [], x <= 3 [1, 2, 3, 4]
DuckDB 2, a file of polars: count of NaN and mean of the others (0, nan)
DuckDB 2, a file of duckdb: isnan(x) [2, 4], NOT isnan(x) [1, 3], NOT isfinite(x) [2, 4], x > 5 [2, 4], x <= 3 [1, 3]
DuckDB 2, a file of duckdb: count of NaN and mean of the others (2, 2.0)
DuckDB 2, with can_have_nan: isnan(x) [2, 4], NOT isnan(x) [1, 3], NOT isfinite(x) [2, 4], x > 5 [2, 4], x <= 3 [1, 3]
DuckDB 2, with can_have_nan: count of NaN and mean of the others (2, 2.0)
polars, a file of pyarrow: is_nan [2, 4]
END
