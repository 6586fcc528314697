/**
 * Begins a transaction whose statements stand in no log of the server, and not in pg_stat_statements, which keeps the text
 * of those that are no queries as they came: they hold what proves a password, and whoever is in pg_read_all_stats reads
 * there. It is sent by itself: a text is logged before its first statement runs, and its duration after its last.
 */
export const BEGIN_UNRECORDED = [
  "BEGIN",
  "SET LOCAL log_statement = 'none'",
  "SET LOCAL log_min_duration_statement = -1",
  "SET LOCAL log_min_error_statement = 'panic'",
  // Where it is not loaded, this setting has no effect.
  "SET LOCAL pg_stat_statements.track_utility = off",
].join("; ");
