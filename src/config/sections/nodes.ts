import * as z from "zod";
import { hostProblem } from "../values/addresses.ts";
import { absolutePath, docs, port, textWithout } from "../fields.ts";

const node = z.strictObject({
  name: z
    .string()
    .regex(
      /^[a-z][a-z0-9_]{0,30}$/,
      'must be lower-case letters, digits and "_", at most 31, starting with a letter: it becomes the name of a replication slot',
    )
    .register(docs, {
      description: "Name of the node. It names its replication slot and its application_name too.",
      examples: ["pg1"],
    }),
  host: textWithout(hostProblem)
    .default("127.0.0.1")
    .register(docs, {
      description:
        "Address at which the endpoints and the other nodes reach this node: an address or name of this machine. All nodes run on the machine of the agent.",
      examples: ["127.0.0.1"],
    }),
  port: port.meta({ description: "Port of this PostgreSQL server.", examples: [5433] }),
  data_dir: absolutePath()
    .optional()
    .register(docs, {
      description: "Data directory of this node. When not set: `nodes/<name>/data` in the state directory.",
      examples: ["/srv/postgres/pg1"],
    }),
});

export const nodes = z
  .array(node)
  .min(1)
  .prefault([
    { name: "pg1", port: 5433 },
    { name: "pg2", port: 5434 },
  ])
  .register(docs, {
    description:
      "The PostgreSQL servers of the cluster. The first one becomes the primary when the cluster is first started, the others its replicas; afterwards the order means nothing: a node keeps the role it has.",
  });
