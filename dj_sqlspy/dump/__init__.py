"""Dump: a slice becomes ``dump.sh`` and ``restore.sh``.

`exclude` decides which contents stay at the lab, `views` which views are included. `keytables` writes long lists of
keys into tables, `script` the texts.
"""

from .script import dump_script, foreign_keys, read_source, restore_script, summary

__all__ = ["dump_script", "foreign_keys", "read_source", "restore_script", "summary"]
