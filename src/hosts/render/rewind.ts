import { shellWord } from "../../shell-word.ts";

export interface RewindInput {
  readonly dataDir: string;
  /** Folder of the servers' user in which replaced data is kept. */
  readonly kept: string;
  /** PostgreSQL's own pg_rewind. */
  readonly program: string;
}

/** Folder in which an old primary's data is kept before a rewind. */
export function rewoundFolder(dataDir: string): string {
  return `${dataDir}.aside-rewound`;
}

/** Records the progress of a rewind: once it names the present data, a copy of that is already kept. */
const BEGUN = "begun";

/** It exists while a rewind waits for room. */
export const WAITS = "waits";

/** Whether a name in that folder is of a complete copy, not of an interrupted one. */
export function isKept(name: string): boolean {
  return /^\d{8}T\d{6}Z$/.test(name);
}

/**
 * The program that Patroni runs in place of pg_rewind, which changes data in place: it copies the data aside first, sharing
 * blocks where the file system can. Without room for that it copies the WAL alone, which holds all that the rewind discards;
 * without room for that either it waits, as Patroni does not try again after a failure. Tablespaces, and WAL on another disk,
 * are copied too, so that the copy is complete. It stops when its Patroni is gone, and of two at a time the second waits.
 */
export function renderRewind({ dataDir, kept, program }: RewindInput): string {
  return `#!/bin/sh
# Made by odoo-pg: Patroni runs it in the place of pg_rewind.
set -u
data=${shellWord(dataDir)}
kept=${shellWord(kept)}
rewind=${shellWord(program)}
begun="$kept/${BEGUN}"
waits="$kept/${WAITS}"

# By these the data is told from data that was put in its place. Inodes alone are used again.
which_data() { stat -L -c '%i %W' "$data"; }

say() { echo "odoo-pg: $*" >&2; }

shares() {
  cp --reflink=always "$data/PG_VERSION" "$part/PG_VERSION" 2>/dev/null || { rm -f "$part/PG_VERSION"; false; }
}

has_room() {
  needed=$(du -skL "$data" | cut -f1)
  free=$(df -Pk "$kept" | awk 'NR == 2 { print $4 }')
  [ $((needed + needed / 5)) -lt "$free" ]
}

copy_whole() {
  cp -a --reflink=auto "$data/." "$part" || return 1
  for link in "$part/pg_wal" "$part"/pg_tblspc/*; do
    [ -L "$link" ] || continue
    place=$(readlink -f "$link") || return 1
    rm "$link" && mkdir -m 700 "$link" && cp -a --reflink=auto "$place/." "$link" || return 1
  done
}

copy_wal() {
  say "there is no room for a copy of $data: its WAL alone is kept"
  mkdir -p -m 700 "$part/pg_wal" "$part/global" &&
    cp -a "$data/pg_wal/." "$part/pg_wal" &&
    cp -a "$data/global/pg_control" "$part/global/pg_control"
}

keep() {
  rm -rf "$kept"/*.part
  name=$(date -u +%Y%m%dT%H%M%SZ)
  part="$kept/$name.part"
  mkdir -m 700 "$part" || return 1
  if shares || has_room; then copy=copy_whole; else copy=copy_wal; fi
  "$copy" || { rm -rf "$part"; return 1; }
  sync -f "$part"
  mv "$part" "$kept/$name" && which_data > "$begun" && say "what is taken back is kept in $kept/$name"
}

case "\${1-}" in
  --help | --version) exec "$rewind" "$@" ;;
esac
exec 9>"$kept/lock" && flock 9 || exit 1
rm -f "$waits"
# One that was cut off goes on: the data is no longer what it was.
until [ "$(cat "$begun" 2>/dev/null)" = "$(which_data)" ] || keep; do
  : 2>/dev/null >"$waits"
  sleep 5
  kill -0 "$PPID" 2>/dev/null || exit 1
done
kill -0 "$PPID" 2>/dev/null || exit 1
"$rewind" "$@"
status=$?
[ "$status" -ne 0 ] || rm -f "$begun"
rm -f "$waits"
exit "$status"
`;
}
