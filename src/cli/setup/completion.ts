import tab from "@bomb.sh/tab/commander";
import type { Command } from "commander";

/** Adds `odoo-pg completion zsh|bash|fish`, which prints a script for the shell. */
export function addCompletion(root: Command): void {
  tab(root, { completionCommandName: "completion" });
}
