import type { NodeConfig } from "../../config/layout.ts";
import { RemoteServer } from "../../members/remote-server.ts";
import { factsOf, lagOf, type NodeObservation } from "../../model/observation.ts";
import { pause } from "../../system/clock.ts";
import { same } from "./host.ts";

/** Milliseconds for which a look waits: of a server that is silent it has what was seen last, until it is known to be silent. */
const LOOK_TIMEOUT = 250;

/** The servers of all hosts with a database, as role collectd sees them from here. */
export class Servers {
  readonly #password: string;
  #members: readonly RemoteServer[] = [];
  #observations: readonly NodeObservation[] = [];

  /** @param password of role collectd */
  constructor(password: string) {
    this.#password = password;
  }

  /** The newest look at each. */
  get observations(): readonly NodeObservation[] {
    return this.#observations;
  }

  of(name: string | undefined): NodeObservation | undefined {
    return this.#observations.find((seen) => seen.name === name);
  }

  /** Bytes of all databases of one. @throws SqlError, Error where it is none of these */
  async databaseBytes(name: string): Promise<number> {
    const member = this.#members.find(({ node }) => node.name === name);
    if (!member) throw new Error(`${name} is not looked at`);
    return await member.databaseBytes();
  }

  async look(): Promise<void> {
    const all = Promise.all(this.#members.map(async (member) => await member.observeShared()));
    await Promise.race([all, pause(LOOK_TIMEOUT)]);
    this.#observations = this.#members.map(({ observation }) => observation);
  }

  /** Looks at these from now on. Those that stay keep their sessions. */
  async lead(wanted: readonly NodeConfig[]): Promise<void> {
    const kept = this.#members.filter(({ node }) => wanted.some((next) => same(next, node)));
    const left = this.#members.filter((member) => !kept.includes(member));
    this.#members = wanted.map(
      (node) => kept.find((member) => same(member.node, node)) ?? new RemoteServer(node, this.#password),
    );
    for (const member of left) await member.disconnect();
  }

  /** Bytes that each replica lacks of what the primary has, where that is known. */
  lags(primary: string | undefined): Map<string, number> {
    const ahead = factsOf(this.of(primary));
    return new Map(
      this.#observations.flatMap((observation): [string, number][] => {
        const facts = factsOf(observation);
        const bytes = facts?.in_recovery === true ? lagOf(facts, ahead).bytes : undefined;
        return bytes === undefined ? [] : [[observation.name, bytes]];
      }),
    );
  }

  async close(): Promise<void> {
    for (const member of this.#members) await member.disconnect();
  }
}
