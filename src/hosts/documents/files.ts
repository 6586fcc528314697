import path from "node:path";
import type { Layout } from "../../config/layout.ts";

/** Where the files for several hosts are, below the state directory. */
export interface HostFiles {
  readonly dir: string;
  /** This host's name and place in the cluster. Where the file exists, the cluster has several hosts. */
  readonly record: string;
  /** The cluster's document as it was last read from the store. */
  readonly document: string;
  /** The configuration of this host's own file, as it was last applied. */
  readonly fileConfig: string;
  /** Where the endpoints last sent sessions: an agent that starts again cuts none of them before it knows better. */
  readonly routing: string;
  /** Records that this host has had data: where that is gone, its disk may not be mounted. */
  readonly hadData: string;
  readonly authority: string;
  /** On hosts with a database alone, for root alone. */
  readonly authorityKey: string;
  /** That of hosts with endpoints alone, which have no rights on the store; on hosts with a database, too. */
  readonly endpointsAuthority: string;
  readonly endpointsAuthorityKey: string;
  readonly certificate: string;
  readonly key: string;
  /** Revoked certificates: those of removed hosts. */
  readonly revocations: string;
  /** The authority, with that list, as Patroni reads it. */
  readonly patroniAuthority: string;
  /** All certificates that hosts were seen with. */
  readonly certificates: string;
  /** Those that this host has revoked, whatever the store says. */
  readonly revoked: string;
  /** Tokens that were given out, hashed. */
  readonly tokens: string;
  readonly etcdDir: string;
  /** How this host's member of the store was first started. */
  readonly etcdStart: string;
  readonly etcdProcess: string;
  /** Serial numbers of the revoked certificates at the last start of etcd. */
  readonly etcdRevoked: string;
  readonly etcdLog: string;
  readonly patroniConfig: string;
  readonly patroniProcess: string;
  readonly patroniRevoked: string;
  /** Python's code that Patroni's process runs first. */
  readonly patroniPython: string;
  /** The program that Patroni runs in place of pg_rewind. */
  readonly rewind: string;
  /** Patroni's output before its own log is open. */
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
