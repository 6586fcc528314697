import type { Layout } from "../../config/layout.ts";
import type { Config } from "../../config/schema.ts";
import type { Etcd } from "../../consensus/etcd.ts";
import { OdooPgError } from "../../errors.ts";
import { odooPg, type NextStep } from "../../next-step.ts";
import type { Installation } from "../../postgres/installation.ts";
import type { Progress } from "../../progress.ts";
import type { Owner } from "../../system/files/files.ts";
import type { Log } from "../../system/log.ts";
import type { Machine } from "../../system/machine.ts";
import type { TlsIdentity } from "../../system/network/mutual-tls.ts";
import type { HostFiles } from "../documents/files.ts";

/** What all parts of a host's agent stand on, and what stays as it is while the agent runs. */
export interface OneHost {
  readonly layout: Layout;
  readonly owner: Owner | undefined;
  readonly machine: Machine;
  readonly log: Log;
  readonly files: HostFiles;
  readonly identity: TlsIdentity;
  /** PostgreSQL of this host; undefined on a host without a database. */
  readonly installation: Installation | undefined;
  readonly etcd: Etcd;
  /** The configuration of this host's file, as it was last taken up: it alone says what is of one host. */
  readonly fileConfig: () => Config | undefined;
}

/** What came of an order, for people. */
export interface Outcome {
  readonly done: string;
  readonly changed: boolean;
  /** By which steps, where it goes by a plan: a sentence each. */
  readonly plan?: readonly string[] | undefined;
  readonly undo?: NextStep | undefined;
}

/** Where no one watches. */
export const SILENT: Progress = { step: () => {}, bytes: () => {}, note: () => {} };

export function notReady(message: string): OdooPgError {
  return new OdooPgError("refused", { message, safe: "Nothing was changed.", next: odooPg("status") });
}

export function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
