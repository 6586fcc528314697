import * as z from "zod";
import { parseBytes } from "../values/postgres-units.ts";
import { docs, port } from "../fields.ts";

const maxLag = z
  .union([z.string(), z.number()], { error: "must be a size, such as 16MB" })
  .transform((input, context) => {
    const bytes = parseBytes(input);
    if (bytes === 0)
      context.addIssue({
        code: "custom",
        message: "must be more than 0: no replica is ever exactly level while there are writes",
      });
    if (typeof bytes === "number") return bytes;
    context.addIssue({ code: "custom", message: bytes });
    return z.NEVER;
  });

/** The port that a pooler had while HAProxy listened before it. */
const formerPoolerPort = port.optional().register(docs, {
  examples: [6436],
  description:
    "No longer used: PgBouncer listens on the endpoint's own port. A configuration that names it still works.",
});

const pooling = z.enum(["none", "transaction"]).default("none");

/** Documentation of `pooling`, the same at both endpoints. */
const POOLING =
  "`none`: each client session is a server session. `transaction`: PgBouncer lends a client a server's session for each transaction, so that many idle clients share a few; database `postgres`, where Odoo listens, keeps its sessions. What clients must not do then: docs/operations.md.";

export const endpoints = z
  .strictObject({
    wait_seconds: z
      .number()
      .min(1)
      .max(600)
      .default(60)
      .register(docs, {
        description:
          "How long a new connection waits at an endpoint, in seconds, while no server takes it: the primary is down, starting, recovering or changing, or has all its connections in use. Then it is refused, with the reason.",
        examples: [120],
      }),
    read: z
      .strictObject({
        port: port
          .default(5435)
          .register(docs, { description: "Port of the read endpoint: Odoo's `db_replica_port`." }),
        consistency: z
          .enum(["eventual", "bounded", "read-your-writes"])
          .default("read-your-writes")
          .register(docs, {
            description:
              "What a read may miss. `read-your-writes`: a commit returns only when every replica in the pool has applied it, so that no read misses it; writes are slower. `bounded`: a replica serves reads only while it streams and is no more than `max_lag` behind; otherwise its sessions are cut and reads go elsewhere. `eventual`: replicas serve reads however far they are behind. When not set, a cluster keeps what it was made with: up to 0.1 that was `bounded`. It is also `bounded` with `upstream`, or where `postgres.parameters` itself sets what a commit waits for.",
          }),
        max_lag: maxLag.prefault("16MB").register(docs, {
          description:
            "How far a replica may be behind the primary, in bytes of WAL, before it leaves the pool. Units as in PostgreSQL: B, kB, MB, GB, TB.",
          examples: ["64MB"],
        }),
        max_lag_seconds: z
          .number()
          .positive()
          .optional()
          .register(docs, {
            description:
              "How far a replica may be behind the primary in seconds before it leaves the pool. When not set, only `max_lag` counts.",
            examples: [10],
          }),
        max_commit_wait_seconds: z
          .number()
          .min(2)
          .max(600)
          .default(3)
          .register(docs, {
            description:
              "With `read-your-writes`, how long a commit may wait for a replica that answers late or not at all, in seconds: then the replica leaves the pool, and commits no longer wait for it. Below 3, a short stall of a replica is enough.",
            examples: [10],
          }),
        pooling: pooling.register(docs, {
          description: `Whether clients of the read endpoint share sessions of the servers. ${POOLING}`,
          examples: ["transaction"],
        }),
        pooler_port: formerPoolerPort,
      })
      .prefault({})
      .register(docs, {
        description: "The address for reads: the replicas in the pool, and the primary when there is none.",
      }),
    write: z
      .strictObject({
        port: port
          .default(5436)
          .register(docs, { description: "Port of the write endpoint: Odoo's `db_port`." }),
        pooling: pooling.register(docs, {
          description: `Whether clients of the write endpoint share sessions of the primary. ${POOLING}`,
          examples: ["transaction"],
        }),
        pooler_port: formerPoolerPort,
      })
      .prefault({})
      .register(docs, { description: "The address for writes: whichever node is primary." }),
  })
  .prefault({})
  .register(docs, { description: "The addresses that Odoo uses." });
