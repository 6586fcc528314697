import { unseen, observedValues, type Evidence, type HostsSeen, type Observed } from "./evidence.ts";

/** Something that doctor cannot speak of. */
export interface Unobserved {
  /** Its name, for people. */
  readonly what: string;
  readonly why: string;
}

type Gap = readonly [what: string, observed: Observed<unknown> | undefined];

/** Everything that could not be checked, and why. */
export function unobserved(evidence: Evidence): Unobserved[] {
  const gaps: Gap[] = [
    ["odoo.conf", evidence.odooConf],
    ...(evidence.hosts ? ofHosts(evidence.hosts) : []),
    ...evidence.nodes.flatMap((node): Gap[] => [
      [`the server ${node.name}`, node.server],
      ...observedValues(node.server).flatMap((server): Gap[] => [
        [`settings of ${node.name}`, server.settings],
        [`clock of ${node.name}`, server.clock],
        [`sessions of ${node.name}`, server.sessions],
        [`pg_hba.conf of ${node.name}`, server.hba],
        [`slots of ${node.name}`, server.slots],
        [`conflicts on ${node.name}`, server.conflicts],
        [`archiver of ${node.name}`, server.archiver],
        [`prepared transactions of ${node.name}`, server.prepared],
      ]),
      [`disk of ${node.name}`, node.disk],
      [`certificate of ${node.name}`, node.certificateEnds],
    ]),
    ["authority of the certificates", evidence.authorityEnds],
    [
      "the primary",
      evidence.follows
        ? unseen("odoo-pg does not run it: its settings, slots and archive cannot be seen from here")
        : undefined,
    ],
    ["databases and roles", evidence.catalog],
    ...observedValues(evidence.catalog).flatMap((catalog): Gap[] => [
      ["roles", catalog.roles],
      ["list of databases", catalog.databases],
      [`template ${evidence.config.odoo.template}`, catalog.template],
      ["what clients of pooled endpoints use", catalog.sessionState],
      ...[...catalog.each].flatMap(([name, observed]): Gap[] => [
        [`database ${name}`, observed],
        ...observedValues(observed).flatMap((database): Gap[] => [
          [`Odoo in ${name}`, database.odoo],
          [`sequences of ${name}`, database.sequences],
          [`invalid indexes of ${name}`, database.invalid_indexes],
          [`duplicate indexes of ${name}`, database.duplicate_indexes],
          [`dead rows of ${name}`, database.tables],
        ]),
      ]),
    ]),
    ["backups", evidence.backups],
    ["disk of the backups", evidence.backupDisk],
    ["days left on the disks", evidence.forecasts],
    ...observedValues(evidence.forecasts).flatMap((known) =>
      evidence.nodes
        .filter(({ name }) => !known.has(name))
        .map(({ name }): Gap => [
          `days left on the disk of ${name}`,
          unseen("it was not seen often enough yet"),
        ]),
    ),
  ];
  return gaps.flatMap(([what, observed]) =>
    observed && !observed.seen ? [{ what, why: observed.why }] : [],
  );
}

/** What concerns another host is reported there. */
function ofHosts({ others, silence }: HostsSeen): Gap[] {
  if (silence !== undefined) return [["the other hosts", unseen(silence)]];
  return others
    .filter(({ hasDatabase }) => hasDatabase)
    .map(({ name, answers }): Gap => [
      `server, disk and settings of ${name}`,
      unseen(answers ? `run odoo-pg doctor on ${name}` : "that host does not answer"),
    ]);
}
