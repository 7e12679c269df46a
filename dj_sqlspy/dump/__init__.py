"""Dump: a slice becomes ``dump.sh`` and ``restore.sh``.

`exclude` says which contents stay at the lab, `views` which views go along, `keytables` writes long lists of keys into
tables, `script` makes the texts.
"""

from .script import dump_script, foreign_keys, read_source, restore_script, summary

__all__ = ["dump_script", "foreign_keys", "read_source", "restore_script", "summary"]
