"""Errors: error numbers of MySQL, MariaDB and PyMySQL by meaning. The names are those in the servers' sources."""

from __future__ import annotations

import pymysql

# Exceptions of the driver.
DRIVER_ERRORS: tuple[type[Exception], ...] = (pymysql.MySQLError,)

# The connection is gone: CR_SERVER_GONE_ERROR, CR_SERVER_LOST, CR_SERVER_LOST_EXTENDED, ER_SERVER_SHUTDOWN,
# ER_CONNECTION_KILLED (MariaDB), ER_CLIENT_INTERACTION_TIMEOUT. PyMySQL says 0 after it closed the connection itself.
LOST = frozenset({0, 2006, 2013, 2055, 1053, 1927, 4031})

# The snapshot is gone because another client changed the definition of a table: ER_TABLE_DEF_CHANGED; or a row that is
# to be locked: ER_CHECKREAD (MariaDB with innodb_snapshot_isolation, the default of 11.8).
REDEFINED = frozenset({1412, 1020})

# ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK, ER_QUERY_INTERRUPTED, ER_STATEMENT_TIMEOUT (MariaDB), ER_QUERY_TIMEOUT
INTERRUPTED = frozenset({1205, 1213, 1317, 1969, 3024})

# ER_DBACCESS_DENIED_ERROR, ER_TABLEACCESS_DENIED_ERROR, ER_COLUMNACCESS_DENIED_ERROR
DENIED = frozenset({1044, 1142, 1143})

# Another process was quicker: ER_DUP_ENTRY, ER_ROW_IS_REFERENCED_2, ER_NO_REFERENCED_ROW_2
CONFLICT = frozenset({1062, 1451, 1452})

READ_ONLY = 1792  # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION

MISSING = frozenset({1146, 1049})  # ER_NO_SUCH_TABLE, ER_BAD_DB_ERROR

# The server does not know something that another flavor may know: ER_PARSE_ERROR, ER_UNKNOWN_CHARACTER_SET,
# ER_UNKNOWN_SYSTEM_VARIABLE, ER_COLLATION_CHARSET_MISMATCH, ER_UNKNOWN_COLLATION, ER_SP_DOES_NOT_EXIST
UNKNOWN = frozenset({1064, 1115, 1193, 1253, 1273, 1305})


def code_of(error: BaseException) -> int:
    """The number of a PyMySQL error, or -1 if it has none."""
    code = error.args[0] if error.args else -1
    return code if isinstance(code, int) else -1
