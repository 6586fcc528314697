"""What psycopg2 clients may rely on at an endpoint: each line is a name and what was seen.

Reads one JSON object from standard input: host, ports (write, read), user, password, database.
"""

import json
import select
import sys

import psycopg2
import psycopg2.errors
from psycopg2.extensions import (
    ISOLATION_LEVEL_AUTOCOMMIT,
    ISOLATION_LEVEL_DEFAULT,
    ISOLATION_LEVEL_REPEATABLE_READ,
    ISOLATION_LEVEL_SERIALIZABLE,
)

given = json.load(sys.stdin)


def connect(database=given["database"], endpoint="write", **more):
    return psycopg2.connect(
        host=given["host"],
        port=given["ports"][endpoint],
        user=given["user"],
        password=given["password"],
        dbname=database,
        connect_timeout=20,
        **more,
    )


def value(connection, statement, *arguments):
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return cursor.fetchone()[0] if cursor.description else None


def listens(database):
    """Whether a notification of another session arrives."""
    listener, sender = connect(database), connect(database)
    for one in (listener, sender):
        one.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
    value(listener, "LISTEN imbus")
    value(sender, "SELECT 1")
    value(sender, "NOTIFY imbus")
    select.select([listener], [], [], 1.0)
    listener.poll()
    return len(listener.notifies) > 0


def set_stays():
    one = connect()
    value(one, "SET statement_timeout = '77s'")
    one.commit()
    stays = value(one, "SHOW statement_timeout") == "77s"
    one.commit()
    return stays


def set_meets_others():
    ones = [connect() for _ in range(5)]
    for one in ones:
        # As pg_dump and psql with a dump do.
        value(one, "SELECT pg_catalog.set_config('search_path', '', false)")
        one.commit()
    others = [connect() for _ in range(5)]
    return any(value(other, "SHOW search_path") == '""' for other in others)


def meets_others_when_reset_fails():
    """A reset that takes longer than the client's statement_timeout: it drops many tables."""
    one = connect()
    value(one, "DO $$ BEGIN FOR n IN 1..500 LOOP EXECUTE format('CREATE TEMP TABLE t%%s (id int PRIMARY KEY)', n); END LOOP; END $$")
    value(one, "SET statement_timeout = '5ms'; SET search_path = elsewhere")
    one.commit()
    return any(value(connect(), "SHOW search_path") == "elsewhere" for _ in range(5))


def state(connection):
    """All that a session can keep."""
    return value(
        connection,
        """SELECT concat_ws(', ', current_setting('role'), current_setting('work_mem'), current_setting('TimeZone'),
             current_setting('exit_on_error'), current_setting('statement_timeout'), to_regclass('pg_temp.kept'),
             (SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_listening_channels()),
             (SELECT count(*) FROM pg_cursors WHERE is_holdable),
             (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()))""",
    )


def left_for_the_next():
    """What of one client's is in the server's session when the next one gets it; True where nothing is."""
    one = connect()
    value(one, "CREATE SEQUENCE IF NOT EXISTS counted")
    value(one, "CREATE FUNCTION tenfold(n int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN n * 10; END'")
    one.commit()
    before = state(one)
    one.commit()
    for _ in range(30):
        value(one, "SELECT nextval('counted'), tenfold(1)")
        value(one, "SET ROLE odoo; SET work_mem = '7MB'; SET TimeZone = 'Asia/Tokyo'; SET statement_timeout = '77s'")
        value(one, "CREATE TEMP TABLE kept (id int)")
        value(one, "PREPARE kept AS SELECT 1")
        value(one, "LISTEN kept")
        value(one, "SELECT pg_advisory_lock(77)")
        value(one, "DECLARE kept CURSOR WITH HOLD FOR SELECT 1")
        if state(one) == before:
            return "nothing was kept"
        pid = value(one, "SELECT pg_backend_pid()")
        one.commit()
        other = connect()
        if value(other, "SELECT pg_backend_pid()") != pid:
            continue
        after = state(other)
        try:
            return value(other, "SELECT lastval()")
        except psycopg2.errors.ObjectNotInPrerequisiteState:
            other.rollback()
        return after == before or after
    return "no session came twice"


def set_local():
    one = connect()
    value(one, "SET LOCAL work_mem = '7MB'")
    inside = value(one, "SHOW work_mem")
    one.commit()
    return inside == "7MB" and value(one, "SHOW work_mem") != "7MB"


def temporary_table_stays():
    one = connect()
    value(one, "CREATE TEMPORARY TABLE t (id int)")
    value(one, "INSERT INTO t VALUES (1)")
    one.commit()
    try:
        return value(one, "SELECT count(*) FROM t") == 1
    except psycopg2.errors.UndefinedTable:
        return False


def temporary_table_in_transaction():
    one = connect()
    value(one, "CREATE TEMPORARY TABLE t (id int) ON COMMIT DROP")
    value(one, "INSERT INTO t VALUES (1)")
    seen = value(one, "SELECT count(*) FROM t")
    one.commit()
    return seen == 1


def session_advisory_lock_stays():
    one, other = connect(), connect()
    value(one, "SELECT pg_advisory_lock(42)")
    one.commit()
    free = value(other, "SELECT pg_try_advisory_xact_lock(42)")
    other.commit()
    return not free


def transaction_advisory_lock():
    one, other = connect(), connect()
    value(one, "SELECT pg_advisory_xact_lock(43)")
    held = not value(other, "SELECT pg_try_advisory_xact_lock(43)")
    other.rollback()
    one.commit()
    return held and value(other, "SELECT pg_try_advisory_xact_lock(43)")


def named_cursor(withhold):
    one = connect()
    cursor = one.cursor("rows", withhold=withhold)
    cursor.itersize = 10
    cursor.execute("SELECT generate_series(1, 100)")
    first = cursor.fetchmany(10)
    if not withhold:
        rest = cursor.fetchall()
        one.commit()
        return len(first) + len(rest) == 100
    one.commit()
    try:
        return len(cursor.fetchmany(10)) == 10
    except psycopg2.errors.InvalidCursorName:
        return False


def prepared_by_sql_stays():
    one = connect()
    value(one, "PREPARE one AS SELECT 1")
    one.commit()
    try:
        return value(one, "EXECUTE one") == 1
    except psycopg2.errors.InvalidSqlStatementName:
        return False


def copies():
    import io

    one = connect()
    value(one, "CREATE TABLE copied (id int)")
    with one.cursor() as cursor:
        cursor.copy_expert("COPY copied FROM STDIN", io.StringIO("1\n2\n"))
        out = io.StringIO()
        cursor.copy_expert("COPY copied TO STDOUT", out)
    one.rollback()
    return out.getvalue() == "1\n2\n"


def large_object():
    one = connect()
    lobject = one.lobject(0, "wb")
    lobject.write(b"12345")
    lobject.close()
    one.commit()
    reader = one.lobject(lobject.oid, "rb")
    read = reader.read()
    reader.unlink()
    one.commit()
    return read == b"12345"


def savepoints():
    one = connect()
    value(one, "SAVEPOINT a")
    try:
        value(one, "SELECT 1/0")
    except psycopg2.errors.DivisionByZero:
        value(one, "ROLLBACK TO SAVEPOINT a")
    seen = value(one, "SELECT 1")
    one.commit()
    return seen == 1


def isolation(level, name):
    one = connect()
    one.set_isolation_level(level)
    seen = value(one, "SHOW transaction_isolation")
    one.commit()
    return seen == name


def read_only_cursor():
    """As Odoo opens those for its replica; a write is what makes it run a request anew."""
    one = connect(endpoint="read")
    one.set_session(isolation_level="REPEATABLE READ", readonly=True)
    level = value(one, "SHOW transaction_isolation")
    try:
        value(one, "CREATE TABLE never (id int)")
    except psycopg2.errors.ReadOnlySqlTransaction:
        one.rollback()
        return level == "repeatable read"
    return False


def autocommit_meets_others():
    """Odoo turns autocommit on and off on connections of REPEATABLE READ."""
    for _ in range(5):
        one = connect()
        one.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=True)
        value(one, "SELECT 1")
    return any(
        value(connect(), "SHOW default_transaction_read_only") == "on" for _ in range(5)
    )


def application_name():
    one = connect(application_name="odoo-77")
    return value(one, "SHOW application_name") == "odoo-77"


def options():
    try:
        one = connect(options="-c statement_timeout=5s")
    except psycopg2.OperationalError as error:
        return "refused" if "options" in str(error) else str(error)
    return value(one, "SHOW statement_timeout")


def cancelled():
    import threading

    one = connect()
    timer = threading.Timer(0.5, one.cancel)
    timer.start()
    try:
        value(one, "SELECT pg_sleep(20)")
    except psycopg2.errors.QueryCanceled:
        return True
    return False


trials = {
    "SET LOCAL": set_local,
    "SET stays": set_stays,
    "SET meets others": set_meets_others,
    "what a reset that fails leaves meets others": meets_others_when_reset_fails,
    "nothing is left for the next client": left_for_the_next,
    "autocommit meets others": autocommit_meets_others,
    "temporary table in a transaction": temporary_table_in_transaction,
    "temporary table stays": temporary_table_stays,
    "advisory lock of a transaction": transaction_advisory_lock,
    "advisory lock of a session stays": session_advisory_lock_stays,
    "named cursor": lambda: named_cursor(False),
    "named cursor WITH HOLD stays": lambda: named_cursor(True),
    "PREPARE stays": prepared_by_sql_stays,
    "COPY": copies,
    "large object": large_object,
    "savepoints": savepoints,
    "READ COMMITTED": lambda: isolation(ISOLATION_LEVEL_DEFAULT, "read committed"),
    "REPEATABLE READ": lambda: isolation(ISOLATION_LEVEL_REPEATABLE_READ, "repeatable read"),
    "SERIALIZABLE": lambda: isolation(ISOLATION_LEVEL_SERIALIZABLE, "serializable"),
    "READ ONLY at the read endpoint": read_only_cursor,
    "application_name": application_name,
    "options": options,
    "cancel": cancelled,
    "LISTEN in postgres": lambda: listens("postgres"),
    "LISTEN elsewhere": lambda: listens(given["database"]),
}

print(json.dumps({name: trial() for name, trial in trials.items()}))
