import type { AgentOptions } from "../../agent/agent.ts";
import type { Config } from "../../config/schema.ts";
import type { Layout } from "../../config/layout.ts";
import { findHaproxy } from "../../endpoints/haproxy.ts";
import { OdooPgError } from "../../errors.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import { findInstallation, type Installation } from "../../postgres/installation.ts";
import { prepareStateDirectory } from "../../store/possession.ts";
import { readPassword } from "../../store/secrets.ts";
import type { TlsIdentity } from "../../system/network/mutual-tls.ts";
import { withOwnPart } from "../decisions/settings/own-part.ts";
import { hostFiles } from "../documents/files.ts";
import {
  readFileConfig,
  readKeptDocument,
  wholeHostRecord,
  type ClusterDocument,
  type HostRecord,
} from "../documents/record.ts";
import { readIdentity } from "../joining/authority.ts";
import { findEtcd, findPatroni } from "../programs/programs.ts";
import { OwnRegister } from "../revoking/own-register.ts";

export interface HostAgentOptions extends AgentOptions {
  readonly layout: Layout;
}

/** What the agent of one of several hosts finds when it starts. */
export interface Found {
  readonly record: HostRecord;
  readonly document: ClusterDocument;
  readonly identity: TlsIdentity;
  readonly installation: Installation | undefined;
  readonly fileConfig: Config | undefined;
  readonly register: OwnRegister;
  readonly programs: Awaited<ReturnType<typeof programsOf>>;
  /** Password of the role that looks at the servers. */
  readonly collectd: string;
}

/** @throws OdooPgError state_dir_unusable, program_missing, haproxy_missing, postgres_missing */
export async function findHere(options: HostAgentOptions): Promise<Found> {
  const { layout, owner } = options;
  const files = hostFiles(layout);
  const [record, document, identity, fileConfig] = await Promise.all([
    wholeHostRecord(layout),
    readKeptDocument(layout),
    readIdentity(files),
    readFileConfig(layout),
  ]);
  if (!record || !document || !identity) {
    throw new OdooPgError("state_dir_unusable", {
      message: `${files.dir} is not whole: this host has not joined its cluster to the end.`,
      safe: "What runs keeps running.",
      next: nextStep`Join again, with a new token: ${odooPg("join", "--help")}`,
    });
  }
  const config = withOwnPart(document.config, fileConfig);
  const installation =
    record.role === "database"
      ? await findInstallation({ ...config.postgres, version: document.major }, options)
      : undefined;
  const programs = await programsOf(options, record, config);
  await prepareStateDirectory(layout, owner);
  const register = await OwnRegister.open(files, options.log);
  const collectd = (await readPassword(layout, "collectd")) ?? "";
  return { record, document, identity, installation, fileConfig, register, programs, collectd };
}

async function programsOf(options: HostAgentOptions, { role }: HostRecord, config: Config) {
  const { searchPath, install } = options;
  const machine = { searchPath, install };
  return {
    haproxy: role === "witness" ? undefined : await findHaproxy(config.haproxy.program, machine),
    etcd: role === "endpoints" ? undefined : await findEtcd(machine),
    patroni: role === "database" ? await findPatroni(machine) : undefined,
  };
}
