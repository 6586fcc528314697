"""Requests as Odoo 19 makes them, without a pause, until standard input ends; then one line of JSON with what users saw.

Odoo's own ways, with their places in its source: a pool that resets a connection before it is lent and drops a dead one
(odoo/sql_db.py, ConnectionPool.borrow), REPEATABLE READ, a read-only cursor that checks signalling first and is rerun
read-write on 25006 (odoo/http.py), five tries on 40001, 40P01 and 55P03 (odoo/service/model.py), and a process that
leaves the read endpoint alone for a while when it could not connect there (odoo/orm/registry.py).
"""

import json
import os
import random
import sys
import threading
import time

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ, TRANSACTION_STATUS_IDLE

DATABASE, CLIENTS = sys.argv[1], int(sys.argv[2])
PORTS = {"write": int(os.environ["WRITE_PORT"]), "read": int(os.environ["READ_PORT"])}
RETRIED = (errors.LockNotAvailable, errors.SerializationFailure, errors.DeadlockDetected)
TRIES = 5
REPLICA_PAUSE = 1200

over = threading.Event()
counted = threading.Lock()
seen = {"requests": 0, "writes": 0, "stale": 0, "replica_given_up": 0, "longest_ms": 0, "errors": {}, "failed": []}
start = time.monotonic()


class Pool:
    """Connections of one process to one endpoint."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.free = []
        self.lock = threading.Lock()

    def borrow(self):
        while True:
            with self.lock:
                if not self.free:
                    break
                connection = self.free.pop()
            try:
                connection.reset()
            except psycopg2.OperationalError:
                if not connection.closed:
                    connection.close()
                continue
            return connection
        return psycopg2.connect(
            host="127.0.0.1", port=PORTS[self.endpoint], user="odoo", dbname=DATABASE, application_name="odoo-1"
        )

    def give_back(self, connection, keep):
        if keep and not connection.closed:
            with self.lock:
                self.free.append(connection)
        elif not connection.closed:
            connection.close()


class Cursor:
    def __init__(self, pool, readonly):
        self.pool = pool
        self.connection = pool.borrow()
        self.connection.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=readonly)
        self.cursor = self.connection.cursor()

    def execute(self, *arguments):
        self.cursor.execute(*arguments)
        return self

    def one(self):
        return self.cursor.fetchone()

    def commit(self):
        self.connection.commit()

    def close(self, keep=True):
        self.cursor.close()
        try:
            self.connection.rollback()
        except psycopg2.Error:
            keep = False
        idle = not self.connection.closed and self.connection.info.transaction_status == TRANSACTION_STATUS_IDLE
        self.pool.give_back(self.connection, keep and idle)


class Process:
    def __init__(self):
        self.pools = {name: Pool(name) for name in PORTS}
        self.no_replica_until = 0

    def cursor(self, readonly):
        if readonly and time.monotonic() >= self.no_replica_until:
            try:
                return Cursor(self.pools["read"], True)
            except psycopg2.OperationalError:
                self.no_replica_until = time.monotonic() + REPLICA_PAUSE
                with counted:
                    seen["replica_given_up"] += 1
        return Cursor(self.pools["write"], readonly)

    def request(self, act, readonly):
        """Runs `act` with a cursor as a request does; raises what the user would see."""
        for attempt in range(TRIES):
            cursor = self.cursor(readonly)
            try:
                cursor.execute("SELECT max(id) FROM signalling").one()
                result = act(cursor)
                cursor.commit()
                cursor.close()
                return result
            except errors.ReadOnlySqlTransaction:
                cursor.close()
                readonly = False
            except RETRIED:
                cursor.close()
                if attempt == TRIES - 1:
                    raise
                time.sleep(random.uniform(0.0, 0.1 * 2**attempt))
            except BaseException:
                cursor.close(keep=False)
                raise
        raise AssertionError("not reached")


def note(key, began, error=None):
    with counted:
        seen["requests"] += 1
        seen["longest_ms"] = max(seen["longest_ms"], round((time.monotonic() - began) * 1000))
        if error is not None:
            words = f"{getattr(error, 'pgcode', None) or ''} {key}: {str(error).strip()}"
            seen["errors"][words] = seen["errors"].get(words, 0) + 1
            seen["failed"].append({"began_ms": round((began - start) * 1000), "ended_ms": round((time.monotonic() - start) * 1000), "words": words})


def user(process, number):
    value = 0
    while not over.is_set():
        began = time.monotonic()
        value += 1

        def save(cursor, value=value):
            cursor.execute("UPDATE partner SET name = %s WHERE id = %s", (str(value), number))
            cursor.execute("SAVEPOINT s").execute("SELECT 1").execute("RELEASE SAVEPOINT s")

        try:
            process.request(save, readonly=False)
            note("write", began)
            with counted:
                seen["writes"] += 1
        except psycopg2.Error as error:
            note("write", began, error)
            continue
        began = time.monotonic()

        def look(cursor):
            return cursor.execute("SELECT name FROM partner WHERE id = %s", (number,)).one()[0]

        try:
            found = process.request(look, readonly=True)
            note("read", began)
            if int(found) < value:
                with counted:
                    seen["stale"] += 1
        except psycopg2.Error as error:
            note("read", began, error)


def main():
    processes = [Process(), Process()]
    setup = psycopg2.connect(host="127.0.0.1", port=PORTS["write"], user="odoo", dbname=DATABASE)
    with setup, setup.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS signalling (id serial PRIMARY KEY)")
        cursor.execute("INSERT INTO signalling DEFAULT VALUES")
        cursor.execute("CREATE TABLE IF NOT EXISTS partner (id int PRIMARY KEY, name text)")
        cursor.execute("INSERT INTO partner SELECT i, '0' FROM generate_series(1, %s) i ON CONFLICT DO NOTHING", (CLIENTS,))
        cursor.execute("UPDATE partner SET name = '0'")
    setup.close()
    threads = [threading.Thread(target=user, args=(processes[n % 2], n + 1)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    print(json.dumps(seen), flush=True)


main()
