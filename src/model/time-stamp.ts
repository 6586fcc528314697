/** `YYYYMMDD_HHMM` in UTC, with the seconds when asked for. */
export function timeStamp(at: number, withSeconds: boolean): string {
  const text = new Date(at).toISOString();
  const [date = "", time = ""] = text.split("T");
  return `${date.replaceAll("-", "")}_${time.replaceAll(":", "").slice(0, withSeconds ? 6 : 4)}`;
}

/** A time as part of a file name: 20261122T013000Z. */
export function stamp(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/[-:]|\.\d+/g, "");
}
