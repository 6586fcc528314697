import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { beforeAll, test } from "vitest";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait.ts";
import type { Host } from "../lab/host.ts";
import { describeOnHosts } from "../on-hosts.ts";
import { AGENT, type Fault, Stage } from "./scene.ts";

/** The least that survives the loss of a host. Clients are on the replica's. */
const faults: readonly Fault[] = [
  {
    name: "with a witness: the witness lost, and back",
    passes: "no outage",
    happens: ({ lab }) => lab.host("h3").unplug(),
    lasts: 8000,
    ends: ({ lab }) => lab.heal(),
    most: 3000,
  },
  {
    name: "with a witness: the primary's host lost, and back",
    passes: "another host takes over when Patroni's lease of 20 s is over; 0 rows lost, 0 reads stale",
    happens: ({ primary }) => primary.unplug(),
    ends: ({ lab }) => lab.heal(),
    most: 28_000,
  },
  {
    // It stays the primary, by the word of the witness: clients on the other host wait until they reach it again.
    name: "with a witness: the primary's host cut from the replica's, while the witness reaches both; clients on the primary's",
    passes: "writes pause 8 s at most; no two hosts accept commits at once; 0 rows lost, 0 reads stale",
    clients: "primary",
    happens: ({ lab, primary, replica }) => lab.part(primary, replica),
    lasts: 12_000,
    ends: ({ lab }) => lab.heal(),
    most: 8000,
  },
  {
    name: "with a witness: switchover by plan",
    passes: "writes pause 2.5 s at most; 0 rows lost, 0 reads stale",
    happens: async ({ several }) => await several.switchover(),
    planned: true,
    most: 4000,
  },
];

/** A file with what a host's certificate is good for. */
function extensions({ address }: Host): string {
  const file = join(temporaryFolder(), "extensions");
  writeFileSync(file, `subjectAltName=IP:${address}\nextendedKeyUsage=serverAuth,clientAuth\n`);
  return file;
}

describeOnHosts("two hosts with a database and a witness", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await Stage.of({ witness: true });
  }, 240_000);

  for (const fault of faults) test(fault.name, async () => await stage.suffers(fault), 200_000);

  test("certificates that end soon are renewed, also that of the witness, and all programs show the new ones", async () => {
    const { lab, several } = stage;
    const [first, witness] = [lab.host("h1"), lab.host("h3")];
    const authority = join(first.folder, "s/ha");
    for (const host of [witness, first]) {
      const own = join(host.folder, "s/ha");
      await execa("openssl", ["req", "-new", "-key", `${own}/host.key`, "-subj", `/CN=${host.name}`]).pipe(
        "openssl",
        ["x509", "-req", "-days", "1", "-CA", `${authority}/ca.crt`, "-CAkey", `${authority}/ca.key`]
          .concat(["-copy_extensions", "none", "-extfile", extensions(host)])
          .concat(["-set_serial", "77", "-out", `${own}/host.crt`]),
      );
      host.signal(AGENT, "SIGKILL");
      await several.do(host, "up");
    }
    const shown = async (host: Host, port: number): Promise<string> => {
      const connect = ["openssl", "s_client", "-connect", `${host.address}:${port}`];
      const { stdout } = await host.run(connect, { timeout: 10_000, input: "" });
      return (await execa("openssl", ["x509", "-noout", "-enddate"], { input: stdout, reject: false }))
        .stdout;
    };
    const doors = [
      { host: witness, ports: [5051, 2379] },
      { host: first, ports: [5051, 2379, 8008] },
    ];
    for (const { host, ports } of doors) {
      const certificate = join(host.folder, "s/ha/host.crt");
      await waitFor(
        `${host.name} to have another certificate`,
        async () => {
          const args = ["x509", "-in", certificate, "-noout", "-checkend", String(300 * 24 * 3600)];
          return (await execa("openssl", args, { reject: false })).exitCode === 0;
        },
        { timeout: 60_000 },
      );
      const { stdout: ends } = await execa("openssl", ["x509", "-in", certificate, "-noout", "-enddate"]);
      for (const port of ports)
        await waitFor(`${host.name}:${port} to show it`, async () => (await shown(host, port)) === ends);
    }
    await several.ready();
  }, 200_000);
});
