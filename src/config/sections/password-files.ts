import * as z from "zod";
import { docs, pathProblem, pathWithout } from "../fields.ts";

/** The message does not repeat the value: it may be a password, written in the wrong place. */
function passwordFileProblem(path: string): string | undefined {
  if (pathProblem(path) === undefined) return undefined;
  return "must be the absolute path of a file; the password is in that file, never here";
}

const passwordPath = pathWithout(passwordFileProblem);

function passwordFile() {
  return passwordPath.optional();
}

export const passwordFiles = z
  .strictObject({
    odoo: passwordFile().register(docs, {
      description: "File with the password of Odoo's role (`odoo.role`).",
      examples: ["/etc/odoo-pg/odoo.password"],
    }),
    openerp: passwordFile().register(docs, {
      description: "File with the password of role openerp, which may log in only if it has one.",
      examples: ["/etc/odoo-pg/openerp.password"],
    }),
    replicator: passwordFile().register(docs, {
      description: "File with the password of role replicator, which the replicas connect as.",
      examples: ["/etc/odoo-pg/replicator.password"],
    }),
    collectd: passwordFile().register(docs, {
      description: "File with the password of role collectd, which monitoring connects as.",
      examples: ["/etc/odoo-pg/collectd.password"],
    }),
  })
  .prefault({})
  .register(docs, {
    description:
      "Files that hold passwords: printable ASCII, one line. Passwords themselves are never in this file. Those not given are generated and kept in the state directory with mode 0600 (openerp: none, no login).",
  });
