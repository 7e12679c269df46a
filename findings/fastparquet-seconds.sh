#!/usr/bin/env bash
# fastparquet writes dates and durations of a whole second's resolution as others: 2026 is in January 1970.
#
# Guess: the file has the times that the DataFrame had; at most their resolution is another.
# Seen: of datetime64[s] the seconds are divided by 1000 and stored as milliseconds, so 2026-03-01 is 1970-01-01
#   00:29:32.323, and times of one quarter of an hour become one; of timedelta64[s] the seconds are stored as
#   microseconds. pyarrow, polars and DuckDB read these; fastparquet reads the durations so, and of the dates it
#   says "Cannot losslessly cast", when it is too late. Writing says nothing. As us both are right. Durations are
#   stored as times of day: of -90 seconds pyarrow makes 23:58:30, polars None, and DuckDB an error.
# Versions: fastparquet 2026.9.0, pandas 3.1.1, pyarrow 26.0.1, polars 2.1.0, DuckDB 2.0.1.
# Why it matters: pandas makes seconds of numpy's dates (datetime64[D]), so birthdays and session dates are lost: the
#   file is valid, and its numbers cannot be restored.
# Source: none found for seconds. Issue 960 (2025, mended) was about ns appended to us.
. "$(dirname "$0")/common.sh"
environment frames fastparquet==2026.9.0 pandas==3.1.1 numpy==2.4.6 pyarrow==26.0.1 polars==2.1.0 duckdb==2.0.1

cat >"$work/try.py" <<'END'
import sys

import duckdb
import fastparquet
import numpy as np
import pandas
import polars
import pyarrow
import pyarrow.parquet

for module in (fastparquet, pandas, pyarrow, polars, duckdb):
    print(module.__name__, module.__version__, file=sys.stderr)
path = f"{sys.argv[1]}/one.parquet"
readers = {
    "fastparquet": lambda: pandas.read_parquet(path, engine="fastparquet")["t"],
    "pyarrow": lambda: pyarrow.parquet.read_table(path)["t"].to_pylist(),
    "polars": lambda: polars.read_parquet(path)["t"],
    "DuckDB": lambda: [t for (t,) in duckdb.execute(f"SELECT t FROM '{path}'").fetchall()],
}


def tried(read):
    try:
        return [str(t) for t in read()]
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:48]}"


dates = pandas.DataFrame({"t": np.array(["2026-03-01", "2026-03-02"], dtype="datetime64[D]")})
starts = dates.astype({"t": "datetime64[us]"})
spans = pandas.DataFrame({"t": np.array([90, 5400], dtype="timedelta64[s]")})
for label, frame in (
    ("dates", dates), ("the same as us", starts), ("durations", spans),
    ("durations as us", spans.astype({"t": "timedelta64[us]"})),
    ("durations below 0 as us", -spans.astype({"t": "timedelta64[us]"})),
):  # fmt: skip
    for writer in ("fastparquet",) if frame is starts else ("fastparquet", "pyarrow"):
        frame.to_parquet(path, engine=writer)
        print(f"{label} ({frame['t'].dtype}), written by {writer}: {tried(lambda: frame['t'])}")
        for reader, read in readers.items():
            print(f"    {reader}: {tried(read)}")
END
see "$work/frames/bin/python" -W ignore "$work/try.py" "$work"
compare <<'END'
dates (datetime64[s]), written by fastparquet: ['2026-03-01 00:00:00', '2026-03-02 00:00:00']
    fastparquet: ValueError: Cannot losslessly cast '1772323 ms' to s
    pyarrow: ['1970-01-01 00:29:32.323000', '1970-01-01 00:29:32.409000']
    polars: ['1970-01-01 00:29:32.323000', '1970-01-01 00:29:32.409000']
    DuckDB: ['1970-01-01 00:29:32.323000', '1970-01-01 00:29:32.409000']
dates (datetime64[s]), written by pyarrow: ['2026-03-01 00:00:00', '2026-03-02 00:00:00']
    fastparquet: ['2026-03-01 00:00:00', '2026-03-02 00:00:00']
    pyarrow: ['2026-03-01 00:00:00', '2026-03-02 00:00:00']
    polars: ['2026-03-01 00:00:00', '2026-03-02 00:00:00']
    DuckDB: ['2026-03-01 00:00:00', '2026-03-02 00:00:00']
the same as us (datetime64[us]), written by fastparquet: ['2026-03-01 00:00:00', '2026-03-02 00:00:00']
    fastparquet: ['2026-03-01 00:00:00', '2026-03-02 00:00:00']
    pyarrow: ['2026-03-01 00:00:00', '2026-03-02 00:00:00']
    polars: ['2026-03-01 00:00:00', '2026-03-02 00:00:00']
    DuckDB: ['2026-03-01 00:00:00', '2026-03-02 00:00:00']
durations (timedelta64[s]), written by fastparquet: ['0 days 00:01:30', '0 days 01:30:00']
    fastparquet: ['0 days 00:00:00', '0 days 00:00:00']
    pyarrow: ['00:00:00.000090', '00:00:00.005400']
    polars: ['00:00:00.000090', '00:00:00.005400']
    DuckDB: ['00:00:00.000090', '00:00:00.005400']
durations (timedelta64[s]), written by pyarrow: ['0 days 00:01:30', '0 days 01:30:00']
    fastparquet: ['90', '5400']
    pyarrow: ['0:01:30', '1:30:00']
    polars: ['0:01:30', '1:30:00']
    DuckDB: ['90', '5400']
durations as us (timedelta64[us]), written by fastparquet: ['0 days 00:01:30', '0 days 01:30:00']
    fastparquet: ['0 days 00:01:30', '0 days 01:30:00']
    pyarrow: ['00:01:30', '01:30:00']
    polars: ['00:01:30', '01:30:00']
    DuckDB: ['00:01:30', '01:30:00']
durations as us (timedelta64[us]), written by pyarrow: ['0 days 00:01:30', '0 days 01:30:00']
    fastparquet: ['90000000', '5400000000']
    pyarrow: ['0:01:30', '1:30:00']
    polars: ['0:01:30', '1:30:00']
    DuckDB: ['90000000', '5400000000']
durations below 0 as us (timedelta64[us]), written by fastparquet: ['-1 days +23:58:30', '-1 days +22:30:00']
    fastparquet: ['-1 days +23:58:30', '-1 days +22:30:00']
    pyarrow: ['23:58:30', '22:30:00']
    polars: ['None', 'None']
    DuckDB: InvalidInputException: Invalid Input Error: Invalid TIME value -9000000
durations below 0 as us (timedelta64[us]), written by pyarrow: ['-1 days +23:58:30', '-1 days +22:30:00']
    fastparquet: ['-90000000', '-5400000000']
    pyarrow: ['-1 day, 23:58:30', '-1 day, 22:30:00']
    polars: ['-1 day, 23:58:30', '-1 day, 22:30:00']
    DuckDB: ['-90000000', '-5400000000']
END
