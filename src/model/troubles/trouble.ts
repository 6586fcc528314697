/** How bad: advice can wait, a warning is a fault that hurts sooner or later, critical means that data or service are in danger. */
export type TroubleSeverity = "advice" | "warning" | "critical";

/** Something that can be wrong with a cluster: everything that any part of odoo-pg says of it in general. */
export interface Trouble {
  readonly severity: TroubleSeverity;
  readonly meaning: string;
  /** Why it matters, and how that is known. */
  readonly why?: string;
  /** What to do, for the reader of the documents. Where it is found, the message has the exact command. */
  readonly remedy: string;
  readonly remark?: string;
  /** Who looks for it, besides alarms and Prometheus. */
  readonly foundBy: readonly ("status" | "doctor")[];
  /** From where on a figure counts, and how far it must fall below before it counts as gone. */
  readonly threshold?: Threshold;
  /** How it rings, or the name of the wider trouble that rings for it; without one it does not ring. */
  readonly alarm?: Alarm | string;
  readonly prometheus?: PrometheusRule;
}

export interface Threshold {
  readonly value: number;
  readonly margin: number;
  readonly unit: "%" | "s";
}

export interface Alarm {
  /** Seconds that it must last before it is reported, and seconds that it must be gone before its end is. */
  readonly afterSeconds: number;
  readonly endsAfterSeconds: number;
  /** It happens at one moment and is reported once. */
  readonly isEvent?: true;
  /** What the alarm was called in version 0.1: accepted in the configuration for one version. */
  readonly formerly?: string;
}

export interface PrometheusRule {
  /** What the rule looks for, where the metrics show less of the trouble than odoo-pg itself sees. */
  readonly meaning?: string;
  readonly expr: string;
  /** How long it must last, in Prometheus' notation. */
  readonly for?: string;
  readonly summary: string;
  /** What to do. */
  readonly description: string;
}
