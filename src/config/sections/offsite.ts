import * as z from "zod";
import { scheduleProblem } from "../values/cron.ts";
import { absolutePath, docs, textWithout } from "../fields.ts";

function repositoryProblem(text: string): string | undefined {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (text === "" || /[\u0000-\u001f\u007f]/.test(text)) return "is not the address of a repository";
  return undefined;
}

const copy = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9_-]{0,30}$/, "is not a name of small letters, digits, _ and -")
    .register(docs, { description: "Its name in commands and reports.", examples: ["b2"] }),
  repository: textWithout(repositoryProblem).register(docs, {
    description:
      "Address of the restic repository: a directory, `sftp:user@host:/path`, `s3:https://server/bucket`, `b2:bucket:path`, `azure:container:/`, `rest:https://server/`. It is made at the first copy.",
    examples: ["sftp:odoo@nas.example.com:/backups/odoo", "/mnt/nas/odoo"],
  }),
  passphrase_file: absolutePath().register(docs, {
    description:
      "File that holds the passphrase of the repository, mode 0600. Nobody can read the copy without it: keep it elsewhere too (`odoo-pg backup key show`).",
    examples: ["/etc/odoo-pg/offsite.passphrase"],
  }),
  environment_file: absolutePath()
    .optional()
    .register(docs, {
      description:
        "File of KEY=VALUE lines, mode 0600, with what restic needs to reach the storage, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
      examples: ["/etc/odoo-pg/offsite.env"],
    }),
  schedule: textWithout(scheduleProblem)
    .default("*/5 * * * *")
    .register(docs, {
      description: "When the agent copies: five fields, in UTC, or `off`. A copy adds what is new.",
      examples: ["0 * * * *"],
    }),
});

export const offsite = z
  .array(copy)
  .superRefine((copies, context) => {
    for (const [index, { name }] of copies.entries()) {
      if (copies.findIndex((other) => other.name === name) === index) continue;
      context.addIssue({ code: "custom", path: [index, "name"], message: `${name} is named twice` });
    }
  })
  .default([])
  .register(docs, {
    description:
      "Copies elsewhere: of the backups with their attachments, of the repository of any second, and of what a new host needs to start again. They are encrypted, and only what is new is sent. It needs the program restic.",
  });
