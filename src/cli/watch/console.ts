import { odooPg } from "../../next-step.ts";
import { agentReport } from "../../agent/control/ask.ts";
import { newConsoleLink } from "../../agent/control/client.ts";
import { passwordFile } from "../../store/secrets.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import type { Context } from "../context.ts";
import { asPublished } from "../published.ts";

/** Prints the address of the console and a link that signs in once, as operator. */
export async function consoleLink(
  context: Context,
  options: { readonly passwords: boolean; readonly json: boolean },
): Promise<ExitStatus> {
  const { layout, output } = context;
  const report = await agentReport(layout, 2000);
  if (!report) {
    throw new OdooPgError("not_running", {
      message: `The agent of cluster ${context.config.cluster} is not running: it serves the console.`,
      safe: "Nothing was changed.",
      next: odooPg("up"),
    });
  }
  const made = await newConsoleLink(layout);
  const { until } = made;
  const [url, link] = [report.console?.url ?? "", made.link].map((one) =>
    asPublished(one, context.invocation.environment),
  );
  const files = {
    viewer: passwordFile(layout, "console_viewer"),
    operator: passwordFile(layout, "console_operator"),
  };
  if (options.json) {
    const passwords = options.passwords ? { password_files: files } : {};
    output.out(JSON.stringify({ version: 1, url, link, until, ...passwords }, undefined, 2));
    return 0;
  }
  output.err(`The console is at ${url ?? "?"}. This link signs in as operator, once, within 10 minutes:`);
  output.out(link ?? "");
  if (options.passwords) {
    output.err("Passwords for the sign-in by hand:");
    for (const [role, file] of Object.entries(files)) output.out(`${role}: ${file}`);
  }
  return 0;
}
