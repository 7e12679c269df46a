"""Open copy: a bundle's slice in formats that open without a server: Parquet files and a DuckDB database.

`writing` loads the bundle into a private server and writes the folder. The room needs the extra ``open`` (pyarrow,
duckdb); only `result` works without it.
"""
