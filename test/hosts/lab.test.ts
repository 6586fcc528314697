import { beforeAll, expect, test } from "vitest";
import { isAlive } from "../support/processes.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { Lab } from "./lab/lab.ts";
import { describeOnHosts, makeLab } from "./on-hosts.ts";

describeOnHosts("hosts of namespaces", () => {
  let lab: Lab;

  beforeAll(async () => {
    lab = await makeLab("h1", "h2");
  });

  const reaches = async (from: string, to: string): Promise<boolean> => {
    const { exitCode } = await lab
      .host(from)
      .run(["curl", "-s", "-m", "1", `http://${lab.host(to).address}:8000/`]);
    return exitCode === 0;
  };

  test("reach each other, and not when a cable is out or one direction is cut", async () => {
    const [h1, h2] = [lab.host("h1"), lab.host("h2")];
    h2.start("http", ["python3", "-m", "http.server", "8000", "--bind", "0.0.0.0"]);
    await expect.poll(async () => await reaches("h1", "h2"), { timeout: 10_000 }).toBe(true);
    h2.unplug();
    expect(await reaches("h1", "h2")).toBe(false);
    lab.heal();
    await expect.poll(async () => await reaches("h1", "h2"), { timeout: 10_000 }).toBe(true);
    // What h2 answers goes the other way.
    lab.cut(h2, h1, { port: 8000, of: "from" });
    expect(await reaches("h1", "h2")).toBe(false);
    expect(await reaches("h2", "h2")).toBe(true);
    lab.heal();
    lab.cut(h1, h2, { port: 9, of: "to" });
    expect(await reaches("h1", "h2")).toBe(true);
    lab.heal();
  });

  test("have names, disks and processes of their own", async () => {
    const [h1, h2] = [lab.host("h1"), lab.host("h2")];
    expect(await h1.do(["hostname"])).toBe("h1");
    await h1.do(["sh", "-c", "echo mine > /srv/file"]);
    expect((await h2.run(["cat", "/srv/file"])).exitCode).not.toBe(0);
    h1.start("sleeper", ["sleep", "1234"]);
    await expect.poll(() => h1.processes(/^sleep 1234/).length).toBe(1);
    expect(h2.processes(/^sleep 1234/)).toEqual([]);
    h1.signal(/^sleep 1234/, "SIGKILL");
    await h1.gone(/^sleep 1234/);
  });

  test("end with all that runs on them", async () => {
    const own = await Lab.make(temporaryFolder(), ["h3"]);
    const h3 = own.host("h3");
    await h3.do(["sh", "-c", "setsid sleep 4321 > /dev/null 2>&1 &"]);
    await expect.poll(() => h3.processes(/^sleep 4321/).length).toBe(1);
    const [sleeper] = h3.processes(/^sleep 4321/);
    await own.end();
    await expect.poll(() => isAlive(sleeper?.pid ?? 0)).toBe(false);
  });
});
