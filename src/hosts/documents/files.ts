import path from "node:path";
import type { Layout } from "../../config/layout.ts";

/** Where the files for several hosts are, below the state directory. */
export interface HostFiles {
  readonly dir: string;
  /** Who this host is in the cluster: its presence says that the cluster has several hosts. */
  readonly record: string;
  /** The cluster's document as it was last read from the store. */
  readonly document: string;
  /** The configuration of this host's own file as it was last taken up. */
  readonly fileConfig: string;
  /** Where the endpoints were last led: an agent that comes back cuts nobody before it knows better. */
  readonly routing: string;
  /** That this host has had data: where it is gone, its disk may not be mounted. */
  readonly hadData: string;
  readonly authority: string;
  /** On hosts with a database alone, for root alone. */
  readonly authorityKey: string;
  /** That of hosts with endpoints alone, which have no rights on the store; on hosts with a database, too. */
  readonly endpointsAuthority: string;
  readonly endpointsAuthorityKey: string;
  readonly certificate: string;
  readonly key: string;
  /** Certificates that are taken from nobody any more: of hosts that were removed. */
  readonly revocations: string;
  /** The authority, with that list, as Patroni reads it. */
  readonly patroniAuthority: string;
  /** Which certificates hosts were ever seen with. */
  readonly certificates: string;
  /** Which of them this host has revoked: no word of the store takes that back. */
  readonly revoked: string;
  /** Tokens that were given out, hashed. */
  readonly tokens: string;
  readonly etcdDir: string;
  /** How this host's member of the store was first started. */
  readonly etcdStart: string;
  readonly etcdProcess: string;
  /** Which serial numbers were in the list of revoked certificates when etcd was started. */
  readonly etcdRevoked: string;
  readonly etcdLog: string;
  readonly patroniConfig: string;
  readonly patroniProcess: string;
  readonly patroniRevoked: string;
  /** What Python runs first in Patroni's process. */
  readonly patroniPython: string;
  /** What Patroni runs in the place of pg_rewind. */
  readonly rewind: string;
  /** What Patroni says before its own log is open. */
  readonly patroniStartLog: string;
  /** Patroni's own log. */
  readonly logDir: string;
  /** Where Patroni writes postgresql.conf. */
  readonly postgresDir: string;
}

export function hostFiles(layout: Pick<Layout, "stateDir">): HostFiles {
  const at = (...parts: string[]): string => path.join(layout.stateDir, "ha", ...parts);
  return {
    dir: at(),
    record: at("host.json"),
    document: at("document.json"),
    fileConfig: at("file.json"),
    routing: at("routing.json"),
    hadData: at("had-data"),
    authority: at("ca.crt"),
    authorityKey: at("ca.key"),
    endpointsAuthority: at("endpoints-ca.crt"),
    endpointsAuthorityKey: at("endpoints-ca.key"),
    certificate: at("host.crt"),
    key: at("host.key"),
    revocations: at("revoked.crl"),
    patroniAuthority: at("patroni-ca.crt"),
    certificates: at("certificates.json"),
    revoked: at("revoked.json"),
    tokens: at("tokens.json"),
    etcdDir: at("etcd"),
    etcdStart: at("etcd.json"),
    etcdProcess: at("etcd.process.json"),
    etcdRevoked: at("etcd.revoked"),
    etcdLog: at("etcd.log"),
    patroniConfig: at("patroni.yml"),
    patroniProcess: at("patroni.process.json"),
    patroniRevoked: at("patroni.revoked"),
    patroniPython: at("python"),
    rewind: at("pg_rewind"),
    patroniStartLog: at("patroni.start.log"),
    logDir: at("log"),
    postgresDir: at("postgres"),
  };
}
