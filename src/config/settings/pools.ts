// Odoo's pools of connections: each of its processes has one for writes and one for reads (odoo/sql_db.py).

/** `db_maxconn` of a worker, which serves one request at a time: a cursor, one or two beside it, and what idles in other databases. */
export const WORKER_POOL_SIZE = 8;
/** The same for a process that serves everybody at once, each for a moment: that for websockets, and the only one without workers. */
export const SHARED_POOL_SIZE = 32;
/** Connections of a server that Odoo does not open: superuser_reserved_connections (3), replication, monitoring and backups. */
export const OWN_CONNECTIONS = 18;
