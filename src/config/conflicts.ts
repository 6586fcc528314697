import { posix } from "node:path";
import type { Path } from "./origins.ts";
import { ARCHIVING } from "./settings/archiving.ts";
import { pooledEndpoints } from "./pooling.ts";
import type { configSchema } from "./schema.ts";
import type * as z from "zod";

type Draft = z.output<typeof configSchema>;
type Section = keyof Draft;

export interface Conflict {
  readonly path: Path;
  readonly message: string;
  /** The top-level keys that it is about. */
  readonly about: readonly Section[];
}

/** Values that are right one by one, but not together. */
export function conflicts(draft: Draft): Conflict[] {
  return [
    ...sameNames(draft),
    ...samePorts(draft),
    ...consolePort(draft),
    ...sharedDataDirectories(draft),
    ...unheardLoopback(draft),
    ...brokenPromise(draft),
    ...emptyBackup(draft),
    ...ownArchiving(draft),
    ...foreignPromise(draft),
    ...foreignPooling(draft),
    ...halfLogin(draft),
  ];
}

function sameNames({ nodes }: Draft): Conflict[] {
  return nodes.flatMap(({ name }, index) => {
    const first = nodes.findIndex((other) => other.name === name);
    if (first === index) return [];
    const message = `"${name}" is the name of nodes[${first}] already: every node needs its own`;
    return [{ path: ["nodes", index, "name"], message, about: ["nodes"] }];
  });
}

const LOOPBACK_IPV4 = /^127\./;

function sameHost(host: string): string {
  return host === "localhost" || LOOPBACK_IPV4.test(host) || host === "::1" ? "loopback" : host.toLowerCase();
}

function samePorts({ nodes, endpoints }: Draft): Conflict[] {
  const { read, write } = endpoints;
  const found: Conflict[] = [];
  if (read.port === write.port) {
    const message = `${write.port} is the port of endpoints.read already: choose another one`;
    found.push({ path: ["endpoints", "write", "port"], message, about: ["endpoints"] });
  }
  nodes.forEach(({ host, port }, index) => {
    const path = ["nodes", index, "port"];
    const first = nodes.findIndex((other) => other.port === port && sameHost(other.host) === sameHost(host));
    if (first !== index) {
      const message = `${port} is the port of nodes[${first}] on the same host already: choose another one`;
      found.push({ path, message, about: ["nodes"] });
    }
    for (const name of ["read", "write"] as const) {
      if (endpoints[name].port !== port) continue;
      const message = `${port} is the port of endpoints.${name} already: choose another one`;
      found.push({ path, message, about: ["nodes", "endpoints"] });
    }
  });
  return found;
}

/** A console that is turned off needs no port. */
function consolePort({ console, nodes, endpoints }: Draft): Conflict[] {
  if (!console.enabled) return [];
  const owner = [
    ...nodes.map(({ port }, index) => ({ port, name: `nodes[${index}]` })),
    { port: endpoints.read.port, name: "endpoints.read" },
    { port: endpoints.write.port, name: "endpoints.write" },
  ].find(({ port }) => port === console.port);
  if (owner === undefined) return [];
  const message = `${console.port} is the port of ${owner.name} already: choose another one`;
  return [{ path: ["console", "port"], message, about: ["console", "nodes", "endpoints"] }];
}

function sharedDataDirectories({ nodes }: Draft): Conflict[] {
  return nodes.flatMap(({ host, data_dir: dir }, index): Conflict[] => {
    if (dir === undefined) return [];
    const other = nodes.findIndex((node, place) => {
      if (place >= index || node.data_dir === undefined || sameHost(node.host) !== sameHost(host))
        return false;
      return isWithin(dir, node.data_dir) || isWithin(node.data_dir, dir);
    });
    if (other === -1) return [];
    const message = `${dir} overlaps with the data directory of nodes[${other}]: every node needs its own`;
    return [{ path: ["nodes", index, "data_dir"], message, about: ["nodes"] }];
  });
}

function isWithin(inner: string, outer: string): boolean {
  const steps = posix.relative(outer, inner);
  return steps === "" || !(steps === ".." || steps.startsWith("../"));
}

/** A node that is reached over loopback must listen there. */
function unheardLoopback({ listen, nodes }: Draft): Conflict[] {
  if (listen === undefined) return [];
  const missing = ["127.0.0.1", "::1"].find((address) => {
    const everyAddress = address === "::1" ? "::" : "0.0.0.0";
    const heard = ["*", "localhost", address, everyAddress].some((wanted) => listen.includes(wanted));
    return !heard && nodes.some(({ host }) => host === address);
  });
  if (missing === undefined) return [];
  const message = `does not hold ${missing}, but that is the host of a node: add ${missing}, or set "host" of the nodes to an address that is listened on`;
  return [{ path: ["listen"], message, about: ["listen", "nodes"] }];
}

function brokenPromise({ endpoints, postgres }: Draft): Conflict[] {
  const written = postgres.parameters["synchronous_commit"];
  if (endpoints.read.consistency !== "read-your-writes") return [];
  if (written === undefined || written.toLowerCase() === "remote_apply") return [];
  const message = `"${written}" breaks what "endpoints.read.consistency: read-your-writes" promises: remove this parameter (remote_apply is set automatically), or choose another consistency`;
  return [
    { path: ["postgres", "parameters", "synchronous_commit"], message, about: ["endpoints", "postgres"] },
  ];
}

/** Only who runs the primary can make commits wait for replicas. */
function foreignPromise({ upstream, endpoints }: Draft): Conflict[] {
  if (!upstream || endpoints.read.consistency !== "read-your-writes") return [];
  const message =
    'read-your-writes needs a primary that odoo-pg runs, and "upstream" names a foreign one: choose bounded or eventual';
  return [{ path: ["endpoints", "read", "consistency"], message, about: ["endpoints", "upstream"] }];
}

/** The roles that may log in are read from the primary, as its superuser. */
function foreignPooling(draft: Draft): Conflict[] {
  if (!draft.upstream) return [];
  return pooledEndpoints(draft).map((name) => ({
    path: ["endpoints", name, "pooling"],
    message: 'pooling needs a primary that odoo-pg runs, and "upstream" names a foreign one: choose none',
    about: ["endpoints", "upstream"],
  }));
}

/** With any second, archiving is odoo-pg's: a second command would take the WAL elsewhere. */
function ownArchiving({ backup, postgres, upstream }: Draft): Conflict[] {
  if (!backup.any_second.enabled) return [];
  const found = [...ARCHIVING, "wal_level"]
    .filter((name) => postgres.parameters[name] !== undefined)
    .map((name): Conflict => ({
      path: ["postgres", "parameters", name],
      message: `"backup.any_second" sets it: take it out, or any_second`,
      about: ["postgres", "backup"],
    }));
  if (upstream === undefined) return found;
  const message = `"upstream" has a primary that someone else runs, and only the primary archives WAL`;
  return [...found, { path: ["backup", "any_second", "enabled"], message, about: ["backup", "upstream"] }];
}

function emptyBackup({ backup }: Draft): Conflict[] {
  if (backup.custom || backup.plain) return [];
  const message = `a backup would be empty: "backup.custom" and "backup.plain" are both false`;
  return [{ path: ["backup", "custom"], message, about: ["backup"] }];
}

/** A login needs both, and no password goes over a network in the clear. */
function halfLogin({ alarms: { mail } }: Draft): Conflict[] {
  if (!mail) return [];
  const { user, password_file, security, host } = mail;
  const found = (key: string, message: string): Conflict[] => [
    { path: ["alarms", "mail", key], message, about: ["alarms"] },
  ];
  if (user !== undefined && password_file === undefined)
    return found("user", `a login needs "alarms.mail.password_file" too`);
  if (user === undefined && password_file !== undefined)
    return found("password_file", `a password needs "alarms.mail.user" too`);
  if (user !== undefined && security === "none" && sameHost(host) !== "loopback")
    return found(
      "security",
      `"none" would send the password to ${host} in the clear: choose starttls or tls`,
    );
  return [];
}
