import { execa } from "execa";
import { expect } from "vitest";
import { wrapAll } from "../../src/wrap.ts";
import { type ThrowawayCluster } from "./cluster.ts";
import { placeOf, type Ran } from "./program.ts";
import { waitFor } from "./wait.ts";

/** Lines of a message on a terminal of 80 columns, before it names where the rest is. */
const MOST_LINES = 3;
const WIDTHS = [60, 80];

/** How far a step that fails may lead: each one says what to do before it, until one does it. */
const MOST_STEPS = 4;

/** Milliseconds that something which only watches is looked at. */
const WATCHED = 4;

/** What a screen says of one thing: the sentence with what is wrong, and what to do next. */
interface Said {
  readonly lines: readonly string[];
  /** Nothing where there is no step. */
  readonly next: string;
}

/** What is said on a screen of status or doctor, or by a command that fails. */
function saidOn(text: string): Said[] {
  const said: { lines: string[]; next: string }[] = [];
  let open = false;
  for (const line of text.split("\n")) {
    const next = /^ *Next: (.*)$/.exec(line)?.[1];
    const begins = /^(?:[▲✖◆] |Error \()/.test(line);
    if (begins) said.push({ lines: [], next: "" });
    const last = said.at(-1);
    if (next !== undefined) {
      if (last) last.next = next;
      open = false;
    } else if (begins) open = true;
    // The code of doctor with its figures, what is safe, and what is listed one by one.
    else if (line === "" || /^ {2}(?:[a-z0-9_]+(?::|$)|Safe: |- )/.test(line)) open = false;
    if (open && last) last.lines.push(line);
  }
  return said;
}

/** Words that end a command among others: a reader sees by them where it ends. */
const END = String.raw`(?=$|, or |, then |, and |; |\)|\. |\.$)`;
const PROGRAMS =
  "odoo-pg|sudo|df|ls|ps|ss|rm|mv|mkdir|kill|chmod|chown|pgrep|getconf|apt-get|timedatectl|mount|umask";
const COMMAND = new RegExp(
  String.raw`(?:^|: |\(|, or |, then |; |or: )((?:${PROGRAMS}) (?:"[^"]*"|'(?:[^']|'\\'')*'|\$\([^)]*\)|[^'"(])*?)${END}`,
  "g",
);

/** The commands that a reader finds in a step. */
function typedIn(next: string): string[] {
  return [...next.matchAll(COMMAND)].map(([, command = ""]) => command.trim());
}

/** timeout(1). */
const TIMED_OUT = 124;

/** Runs a line in a shell, in another folder than that of the cluster, as it stands. */
async function type(cluster: ThrowawayCluster, line: string): Promise<Ran> {
  const { environment } = placeOf({ home: cluster.folder });
  const watches = /(?: -f| --follow| --watch)(?: |$)/.test(line);
  // By `timeout`, which ends what the shell has started too.
  const { stdout, stderr, exitCode } = await execa(
    "timeout",
    [String(watches ? WATCHED : 120), "sh", "-c", line],
    {
      env: environment,
      extendEnv: false,
      cwd: "/",
      stdin: "ignore",
      reject: false,
    },
  );
  return { stdout, stderr, exitCode: watches && exitCode === TIMED_OUT ? 0 : (exitCode ?? 128) };
}

/** A command's screens at 60 and 80 columns: no message is longer than its place. @returns what the last one says */
async function screens(cluster: ThrowawayCluster, args: readonly string[]): Promise<Said[]> {
  let said: Said[] = [];
  for (const width of WIDTHS) {
    const { stdout, stderr } = await withColumns(width, async () => await cluster.run(args));
    said = saidOn(`${stdout}\n${stderr}`);
    for (const { lines } of said) {
      // A screen breaks what a program did not.
      const shown = lines.flatMap((line) => wrapAll(line, 80));
      expect(shown.length, lines.join("\n")).toBeLessThanOrEqual(MOST_LINES);
    }
  }
  return said;
}

async function withColumns<T>(width: number, act: () => Promise<T>): Promise<T> {
  const before = Object.getOwnPropertyDescriptor(process.stdout, "columns");
  Object.defineProperty(process.stdout, "columns", { value: width, configurable: true });
  try {
    return await act();
  } finally {
    if (before) Object.defineProperty(process.stdout, "columns", before);
    else Reflect.deleteProperty(process.stdout, "columns");
  }
}

export interface Trouble {
  readonly plant?: () => Promise<unknown> | void;
  /** The command by which it is met, as it is typed behind `odoo-pg`. */
  readonly met: readonly string[];
  /** Words of the message that is met. */
  readonly says: string | RegExp;
  /**
   * What its step brings: `gone`, that it is not said any more; words that what is typed must show; or `words` where only
   * a person can act, as with a file that is wrong: when that is done, a command in the step ends well.
   */
  readonly brings: "gone" | "words" | RegExp;
  /** What only a person can do before the step: it is what the words of the step say. */
  readonly before?: () => Promise<unknown> | void;
  readonly after?: () => Promise<unknown> | void;
}

/** Plants a trouble, meets it, types what is printed, and holds that it helps. @returns what was typed */
export async function meet(cluster: ThrowawayCluster, trouble: Trouble): Promise<string[]> {
  const { plant, met, says, brings, before, after } = trouble;
  const isIt = ({ lines }: Said): boolean => {
    const words = lines.map((line) => line.trim()).join(" ");
    return typeof says === "string" ? words.includes(says) : says.test(words);
  };
  const find = async (): Promise<Said | undefined> => {
    const { stdout, stderr } = await cluster.run(met);
    return saidOn(`${stdout}\n${stderr}`).find(isIt);
  };
  await plant?.();
  await waitFor(
    `${met.join(" ")} to say: ${String(says)}`,
    async () => {
      if (await find()) return true;
      const { stdout, stderr } = await cluster.run(met);
      throw new Error(`${stdout}\n${stderr}`);
    },
    { timeout: 40_000 },
  );
  const found = (await screens(cluster, met)).find(isIt) ?? (await find());
  expect(found?.next, `a step after: ${String(says)}`).toMatch(/\S/);
  await before?.();
  const typed: string[] = [];
  let next = found?.next ?? "";
  let shown = "";
  for (let step = 0; step < MOST_STEPS; step += 1) {
    const lines = typedIn(next);
    if (brings === "words" && lines.length === 0) break;
    expect(lines, `a command in: ${next}`).not.toEqual([]);
    const [line = ""] = lines;
    typed.push(line);
    // Without its file it would be about another cluster, such as that of this host.
    if (/\bodoo-pg\b/.test(line)) expect(line).toContain(` --config ${cluster.configFile}`);
    const ran = await type(cluster, line);
    shown += `${ran.stdout}\n${ran.stderr}\n`;
    expect([126, 127], `${line}\n${ran.stderr}`).not.toContain(ran.exitCode);
    expect(ran.stderr, line).not.toContain("Error (usage)");
    expect(ran.stderr, line).not.toContain("Error (internal)");
    // status and doctor end with 1 and 69 where they have something to say, which is what they were asked for.
    const failed = ran.exitCode !== 0 && ran.stderr.includes("Error (");
    if (!failed) break;
    expect(brings, `${line}\n${ran.stderr}`).not.toBe("words");
    const why = saidOn(ran.stderr).at(-1);
    expect(why?.next, `${line}\n${ran.stderr}`).toMatch(/\S/);
    expect(why?.next, `${line}\n${ran.stderr}`).not.toBe(next);
    next = why?.next ?? "";
    if (typedIn(next).length === 0) break;
  }
  if (brings === "gone")
    await waitFor(
      `the end of: ${String(says)}`,
      async () => {
        const still = await find();
        if (still) throw new Error(`after ${typed.join(" · ")}: ${still.lines.join(" ")}\n${shown}`);
        return true;
      },
      { timeout: 60_000 },
    );
  else if (brings !== "words") expect(shown, typed.join(" · ")).toMatch(brings);
  await after?.();
  return typed;
}
