import { nextStep, odooPg, type NextText } from "../../../next-step.ts";
import type { Evidence } from "../evidence.ts";
import { observedValues } from "../evidence.ts";
import { finding, type FoundFinding } from "../findings.ts";
import type { OdooConf } from "../odoo-conf.ts";

/** Whether odoo.conf leads Odoo to the endpoints of this cluster, as a role that is there. */
export function checkOdooConf(evidence: Evidence): FoundFinding[] {
  return observedValues(evidence.odooConf).flatMap((conf) => [
    ...writes(evidence, conf),
    ...reads(evidence, conf),
    ...template(evidence, conf),
    ...user(evidence, conf),
    ...encryption(conf),
  ]);
}

/** The right lines, and where they belong. */
function lines(conf: OdooConf, names: string): NextText {
  return nextStep`put ${names} from this into ${conf.file}, then restart Odoo: ${odooPg("odoo-conf")}`;
}

/** The server behind a port. With several hosts all have the same ports, and the address says which one it is. */
function ledTo({ config, hosts }: Evidence, port: number | undefined): { name: string } | undefined {
  const node = config.nodes.find((candidate) => candidate.port === port);
  return node && hosts ? { name: "one host's server" } : node;
}

function writes(evidence: Evidence, conf: OdooConf): FoundFinding[] {
  const { db_port: port } = conf.options;
  const { read, write } = evidence.config.endpoints;
  const node = ledTo(evidence, port);
  if (port === undefined || (port !== read.port && !node)) return [];
  return [
    finding("odoo_write_endpoint_bypassed", {
      ...(node && !evidence.hosts ? { node: node.name } : {}),
      message: node
        ? `db_port = ${port} takes Odoo straight to ${node.name}: after a switchover its writes fail.`
        : `db_port = ${port} is the read endpoint: Odoo's writes fail there.`,
      evidence: { db_port: port, write_endpoint: write.port },
      next: lines(conf, "db_host and db_port"),
    }),
  ];
}

function reads(evidence: Evidence, conf: OdooConf): FoundFinding[] {
  const { config, follows } = evidence;
  const { db_replica_host: host, db_replica_port: port } = conf.options;
  const { read, write } = config.endpoints;
  const right = lines(conf, "db_replica_host and db_replica_port");
  if (host === undefined && port === undefined) {
    if (config.nodes.length < 2 && !follows) return [];
    return [
      finding("odoo_replica_unused", {
        message: "odoo.conf has no db_replica_host: all reads go to the primary.",
        evidence: { nodes: config.nodes.length, read_endpoint: read.port },
        next: right,
      }),
    ];
  }
  if (port === undefined) {
    return [
      finding("odoo_replica_port_missing", {
        message: `odoo.conf has db_replica_host without db_replica_port: Odoo looks for its replica at port 5432, and not at the read endpoint (${read.port}).`,
        evidence: { db_replica_host: host ?? null, db_replica_port: null, read_endpoint: read.port },
        next: right,
      }),
    ];
  }
  const node = ledTo(evidence, port);
  if (port !== write.port && !node) return [];
  return [
    finding("odoo_read_endpoint_bypassed", {
      ...(node && !evidence.hosts ? { node: node.name } : {}),
      message: node
        ? `db_replica_port = ${port} takes Odoo straight to ${node.name}: nothing keeps stale reads away, and nothing answers when it is down.`
        : `db_replica_port = ${port} is the write endpoint: all reads go to the primary.`,
      evidence: { db_replica_port: port, read_endpoint: read.port },
      next: right,
    }),
  ];
}

function template({ config }: Evidence, conf: OdooConf): FoundFinding[] {
  const { unaccent, db_template = "template0" } = conf.options;
  if (!unaccent || db_template === config.odoo.template) return [];
  return [
    finding("odoo_template_other", {
      message: `Odoo creates new databases from ${db_template}, with unaccent on: they will have neither pg_trgm nor an unaccent that indexes can use.`,
      evidence: { unaccent, db_template, template: config.odoo.template },
      next: lines(conf, "db_template"),
    }),
  ];
}

function user(evidence: Evidence, conf: OdooConf): FoundFinding[] {
  const { db_user: name } = conf.options;
  const roles = observedValues(evidence.catalog).flatMap((catalog) => observedValues(catalog.roles));
  if (name === undefined) return [];
  return roles.flatMap((all) => {
    const role = all.find((candidate) => candidate.name === name);
    if (role?.login) return [];
    return [
      finding("odoo_role_unknown", {
        message: `Odoo connects as ${name}, a role that ${role ? "may not log in" : "does not exist"}.`,
        evidence: { db_user: name, exists: role !== undefined },
        next: lines(conf, "db_user and db_password"),
      }),
    ];
  });
}

function encryption(conf: OdooConf): FoundFinding[] {
  const { db_sslmode: mode, db_host: host } = conf.options;
  const here = host === undefined || /^(?:localhost|127\.|::1$|\/)/.test(host);
  if ((mode !== "disable" && mode !== "allow") || here) return [];
  return [
    finding("odoo_tls_off", {
      message: `db_sslmode = ${mode}: Odoo talks to ${host} without TLS.`,
      evidence: { db_sslmode: mode, db_host: host },
      next: lines(conf, "db_sslmode"),
    }),
  ];
}
