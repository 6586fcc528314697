import { isTuned } from "./compare.ts";
import type { TunedSetting } from "../../config/settings/table.ts";

/** The running settings of a server. */
export interface RunningSetting {
  /** As SHOW prints it, such as `128MB`. */
  readonly shown: string;
  /** Whether ALTER SYSTEM set it: that goes over odoo-pg.yaml. */
  readonly altered: boolean;
}

/** The present settings, and where they come from. */
export interface Present {
  /** Undefined where no server was asked. */
  readonly running: ReadonlyMap<string, RunningSetting> | undefined;
  /** From odoo-pg.yaml, the environment and odoo-pg's own choice. */
  readonly configured: ReadonlyMap<string, string>;
  /** Variables of the environment, by the parameter that they set. */
  readonly environment: ReadonlyMap<string, string>;
  /** With several hosts: what this host's file had when it was last taken up. It says so still, and changes nothing. */
  readonly known?: ReadonlyMap<string, string>;
}

/** One row of the advice. */
export interface Row {
  readonly name: string;
  readonly now: string;
  readonly tuned: string;
  readonly differs: boolean;
  /** Whether odoo-pg.yaml has to be changed for it. */
  readonly to_write: boolean;
  readonly restart: boolean;
  readonly reason: string;
  /** What stands in the way of odoo-pg.yaml. */
  readonly obstacle: string | null;
}

/** The difference between the present settings and the advised ones. */
export function compareSettings(settings: readonly TunedSetting[], present: Present): Row[] {
  return settings.map((setting) => {
    const { name, value, restart, reason } = setting;
    const configured = present.configured.get(name) ?? setting.stock;
    const running = present.running?.get(name);
    const asConfigured = isTuned(setting, configured);
    const differs = running ? !isTuned(setting, running.shown) : !asConfigured;
    const variable = present.environment.get(name);
    const obstacle = running?.altered
      ? `ALTER SYSTEM goes over odoo-pg.yaml: ALTER SYSTEM RESET ${name}`
      : variable === undefined
        ? null
        : `${variable} in the environment overrides odoo-pg.yaml: change it there`;
    const saidAlready = !asConfigured && present.known?.get(name) === value;
    return {
      name,
      now: running?.shown ?? configured,
      tuned: value,
      differs,
      to_write: !asConfigured && variable === undefined && !saidAlready,
      restart,
      reason,
      obstacle: differs
        ? (obstacle ??
          (saidAlready
            ? "odoo-pg.yaml of this host already says so, but another host's file was applied after it: change it there"
            : null))
        : null,
    };
  });
}
