import path from "node:path";
import { formatLsn, parseLsn, type Lsn } from "../model/lsn.ts";
import { namesIn, type Owner } from "../system/files/files.ts";
import { run, runOrFail } from "../system/process/process.ts";
import { programOf, type Installation } from "./installation.ts";

/**
 * The end of the WAL of a server that is stopped: how far it got on its own disk. pg_waldump reads records until the
 * first that is not there, and names the place. Undefined when that cannot be read within the timeout.
 */
export async function endOfWal(
  installation: Installation,
  dataDir: string,
  from: Lsn,
  owner: Owner | undefined,
): Promise<Lsn | undefined> {
  const timeline = await newestTimeline(dataDir);
  if (timeline === undefined) return undefined;
  const ran = await run(
    programOf(installation, "pg_waldump"),
    ["--quiet", "-p", path.join(dataDir, "pg_wal"), "-t", String(timeline), "-s", formatLsn(from)],
    { owner, timeout: 20_000 },
  ).catch(() => undefined);
  // "… error in WAL record at 0/3003C60: invalid record length at 0/3003C98: …", or, at `from` itself,
  // "could not find a valid record after 0/3003C98".
  const text = ran?.stderr ?? "";
  const end = / at ([0-9A-F]+\/[0-9A-F]+)(?::| wanted|, )/g;
  const places = [...text.matchAll(end)].map((match) => match[1] ?? "");
  const last = places.at(-1);
  if (last !== undefined && last !== "") return parseLsn(last);
  return /could not find a valid record after/.test(text) ? from : undefined;
}

/**
 * The timeline on which a former primary wrote last, by its files: control files, its own and those of its replicas, have
 * the one before until the next checkpoint.
 */
async function newestTimeline(dataDir: string): Promise<number | undefined> {
  const names = await namesIn(path.join(dataDir, "pg_wal"));
  const timelines = names.flatMap((name) =>
    /^[0-9A-F]{24}$/.test(name) ? [Number.parseInt(name.slice(0, 8), 16)] : [],
  );
  return timelines.length > 0 ? Math.max(...timelines) : undefined;
}

/** Bytes of a segment of WAL. @throws OdooPgError command_failed where the control file does not say it */
export async function segmentBytesOf(
  installation: Installation,
  dataDir: string,
  owner: Owner | undefined,
): Promise<number> {
  const ran = await runOrFail(programOf(installation, "pg_controldata"), ["-D", dataDir], { owner });
  return Number(/^Bytes per WAL segment:\s+(\d+)$/m.exec(ran.stdout)?.[1]);
}

const CHECKPOINT = /^Latest checkpoint location:\s+([0-9A-F]+\/[0-9A-F]+)$/m;

/** Where the last checkpoint of a stopped server begins: after a clean shutdown, its very last record. */
export async function lastCheckpoint(
  installation: Installation,
  dataDir: string,
  owner: Owner | undefined,
): Promise<Lsn | undefined> {
  const ran = await run(programOf(installation, "pg_controldata"), ["-D", dataDir], { owner });
  const text = CHECKPOINT.exec(ran.stdout)?.[1];
  return text === undefined ? undefined : parseLsn(text);
}
