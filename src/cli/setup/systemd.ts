import path from "node:path";
import type { ExitStatus } from "../../errors.ts";
import { SMALL_HEAP } from "../../system/process/process.ts";
import type { Context } from "../context.ts";

/** Quotes a word of a command line in a unit file (systemd.service(5), "Command lines"). */
export function quoteUnitWord(word: string): string {
  const escaped = word
    .replaceAll("\\", "\\\\")
    .replaceAll('"', '\\"')
    .replaceAll("\n", "\\n")
    .replaceAll("%", "%%")
    .replaceAll("$", "$$$$");
  return /^[A-Za-z0-9_./:=@-]+$/.test(word) ? word : `"${escaped}"`;
}

/**
 * The text of a unit.
 * - KillMode=process: servers outlive a killed agent, and the agent that systemd starts at once adopts them. A regular stop
 *   has the agent stop them in the right order.
 * - OOMPolicy=continue: where the kernel kills one session, PostgreSQL recovers in seconds; systemd would stop the unit.
 * - StartLimitIntervalSec=0: what keeps the agent from starting, such as a full disk, may end at any time.
 * - etcd and Patroni of several hosts are in the same unit: in units of their own systemd would start again what the agent
 *   holds back, such as a Patroni whose data directory is being copied, or an etcd that is no member any more.
 */
export function renderUnit(input: {
  readonly cluster: string;
  readonly program: readonly [string, string];
  readonly configFile: string | undefined;
}): string {
  const args = [
    "up",
    "--foreground",
    ...(input.configFile === undefined ? [] : ["--config", input.configFile]),
  ];
  const [node, program] = input.program;
  const command = [node, ...SMALL_HEAP, program, ...args].map(quoteUnitWord).join(" ");
  return `# Made by: odoo-pg systemd. Install it so:
#   odoo-pg systemd > /etc/systemd/system/odoo-pg-${input.cluster}.service
#   systemctl daemon-reload && systemctl enable --now odoo-pg-${input.cluster}
[Unit]
Description=odoo-pg cluster ${input.cluster} (PostgreSQL for Odoo)
After=network-online.target
Wants=network-online.target
Before=odoo.service
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart=${command}
ExecReload=/bin/kill -HUP $MAINPID
KillMode=process
Restart=always
RestartSec=1
TimeoutStopSec=360
LimitNOFILE=65536
OOMScoreAdjust=-500
OOMPolicy=continue

[Install]
WantedBy=multi-user.target
`;
}

export function systemd(context: Context): ExitStatus {
  const { configFile, invocation, config } = context;
  context.output.out(
    renderUnit({
      cluster: config.cluster,
      program: invocation.program,
      configFile: configFile === undefined ? undefined : path.resolve(invocation.cwd, configFile),
    }).trimEnd(),
  );
  return 0;
}
