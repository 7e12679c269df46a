"""Shared Python of the scripts beside this file: connections to the servers that `server` started.

``servers()`` uses the variables that a script exports: MARIADB, MARIADB_11 and MYSQL, each a port.
``datajoint_at(port)`` is DataJoint, in environments that have it.
"""

import logging
import os
import sys
import warnings

import pymysql

NAMES = {"MARIADB": "MariaDB 10.11", "MARIADB_11": "MariaDB 11.8", "MYSQL": "MySQL 9.7"}


def servers(**options):
    """Each server's short name, with a cursor; versions go to standard error."""
    found = {}
    for variable, name in NAMES.items():
        if variable in os.environ:
            connection = pymysql.connect(
                host="127.0.0.1", port=int(os.environ[variable]), user="tester", password="tester",
                autocommit=True, charset="utf8mb4", **options,
            )  # fmt: skip
            found[name] = connection.cursor()
            found[name].execute("SELECT VERSION()")
            print(name, "is", found[name].fetchone()[0], file=sys.stderr)
    return found


def ask(cursor, statement):
    """The rows as tuples; of an error its number and the first words."""
    try:
        cursor.execute(statement)
        return list(cursor.fetchall())
    except pymysql.MySQLError as error:
        return f"error {error.args[0]}: {error.args[1][:45]}…"


def datajoint_at(port, backend="mysql"):
    """DataJoint without its warnings, with the account on a server."""
    warnings.simplefilter("ignore")
    import datajoint

    datajoint.logger.setLevel(logging.CRITICAL)
    options = {
        "host": "127.0.0.1",
        "port": int(port),
        "user": "tester",
        "password": "tester",
        "use_tls": False,
    }
    if backend != "mysql":
        options["backend"] = backend
    for name, value in options.items():
        datajoint.config[f"database.{name}"] = value
    return datajoint
