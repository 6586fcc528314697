import path from "node:path";
import { forwardingAddress } from "../../../config/values/addresses.ts";
import { slotName } from "../../../config/layout.ts";
import { yamlLines } from "../../../config/yaml-text.ts";
import { stamp } from "../../../model/time-stamp.ts";
import { reloadAndWait } from "../../../postgres/reload.ts";
import { renderHba, renderPostgresqlConf, renderSynchronous } from "../../../postgres/render.ts";
import { forgetStandbys } from "../../../postgres/sql/commit-list.ts";
import { dropSlot, listSlots } from "../../../postgres/sql/operations.ts";
import { quoteSetting } from "../../../postgres/sql/quoting.ts";
import { writeApplied } from "../../../store/state.ts";
import { now } from "../../../system/clock.ts";
import {
  ensureDirectory,
  kindOf,
  move,
  passableFor,
  readableBy,
  writeFileAtomic,
} from "../../../system/files/files.ts";
import type { Session } from "../../../system/sql/sql.ts";
import type { HostFiles } from "../../documents/files.ts";
import { ownConfig, renderInput } from "../../render/own-files.ts";
import type { OneHost } from "../host.ts";
import type { OwnNode } from "../own-server/own-node.ts";

/**
 * The server of this host, which is the primary and which no Patroni runs any more, becomes that of a cluster of one host
 * as it runs, with its sessions: it reads odoo-pg's own file again. What was of several hosts is put aside, its keys too:
 * a next time has others. Run again it goes on.
 * @returns the configuration of that cluster, as a file
 */
export async function becomeOne(host: OneHost, node: OwnNode): Promise<string> {
  const { layout, owner, machine, files: ha, installation } = host;
  const input = node.input();
  if (!installation) throw new Error("a host without a database");
  const { config, node: own, files } = ownConfig(input);
  const readable = readableBy(owner);
  const waits = config.endpoints.read.consistency === "read-your-writes";
  await writeFileAtomic(files.synchronousFile, renderSynchronous(waits, []), readable);
  await writeFileAtomic(
    files.configFile,
    renderPostgresqlConf(await renderInput(input, installation)),
    readable,
  );
  const source = forwardingAddress(config.nodes, machine.hasLoopbackNetwork);
  await writeFileAtomic(files.hbaFile, renderHba({ networks: config.networks, source }), readable);
  // A server that Patroni started reads this file until it is started again; what only that changes stays till then.
  const patronis = path.join(ha.postgresDir, "postgresql.conf");
  const kept = await node.server().use(async (session) => await fixedBy(session, patronis));
  await writeFileAtomic(patronis, [`include ${quoteSetting(files.configFile)}`, ...kept, ""].join("\n"), {
    owner,
  });
  const hosts = input.document.hosts.map(({ name }) => slotName(name));
  await node.server().use(async (session) => {
    await forgetStandbys(session);
    await reloadAndWait(session, files.dataDir, own.name);
    // What they lack would be kept for ever.
    for (const slot of await listSlots(session)) if (!hosts.includes(slot)) await dropSlot(session, slot);
  });
  await writeApplied(layout, { format: 1, config, major: input.document.major, config_file: null });
  const file = path.join(layout.stateDir, "odoo-pg.yaml");
  await writeFileAtomic(file, `${yamlLines(config).join("\n")}\n`);
  await putAside(ha, passableFor(owner));
  return file;
}

/** The lines by which a server keeps what it has from a file, or was started with, and changes at a restart alone. */
async function fixedBy(session: Session, file: string): Promise<string[]> {
  const rows = await session.query(
    `SELECT name, current_setting(name) AS value FROM pg_settings
     WHERE context = 'postmaster' AND name <> 'config_file' AND (sourcefile = $1 OR source = 'command line')
     ORDER BY name`,
    [file],
  );
  return rows.map((row) => `${String(row["name"])} = ${quoteSetting(String(row["value"]))}`);
}

/** Who this host is comes first: without that it is none of several. */
async function putAside(ha: HostFiles, mode: Parameters<typeof ensureDirectory>[1]): Promise<void> {
  const left = `${ha.dir}.left-${stamp(now())}`;
  await ensureDirectory(left, mode);
  const { dir: _dir, postgresDir: _postgresDir, record, ...others } = ha;
  for (const file of [record, ...Object.values(others)])
    if ((await kindOf(file)) !== undefined) await move(file, path.join(left, path.basename(file)));
}
