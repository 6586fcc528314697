import * as z from "zod";
import { listenAddressProblem } from "../values/addresses.ts";
import { docs, port, textWithout } from "../fields.ts";

export const consoleSection = z
  .strictObject({
    enabled: z.boolean().default(true).register(docs, {
      description: "Whether the agent serves the console: a page that shows the cluster, and `/metrics`.",
    }),
    port: port.default(5050).register(docs, {
      description: "Port of the console. A port that is taken keeps nothing from starting: `status` warns.",
    }),
    listen: z
      .array(textWithout(listenAddressProblem))
      .min(1)
      .default(["127.0.0.1"])
      .register(docs, {
        description:
          "Addresses that the console listens on. On loopback it uses http, and viewing needs no sign-in. On every other address it uses https with the servers' certificate, and everything needs a sign-in.",
        examples: [["127.0.0.1", "10.0.0.11"]],
      }),
    read_only: z.boolean().default(false).register(docs, {
      description: "Whether the page is read-only, whoever signs in.",
    }),
  })
  .prefault({})
  .register(docs, { description: "The console." });
