/** Of what a slot may keep, the share from which on it is said; and the share of the whole disk. */
const KEPT_OF_LIMIT = 0.5;
const KEPT_OF_DISK = 0.1;

/**
 * Whether a slot keeps so much WAL that a warning is due. All in bytes.
 * @param limit what it may keep (max_slot_wal_keep_size); undefined where there is no limit
 * @param disk size of the primary's disk, where it is known
 */
export function keepsMuch(kept: number, limit: number | undefined, disk: number | undefined): boolean {
  return (
    (limit !== undefined && kept > limit * KEPT_OF_LIMIT) ||
    (disk !== undefined && kept > disk * KEPT_OF_DISK)
  );
}
