import { beforeAll, expect, test } from "vitest";
import { program } from "../../support/program.ts";
import { atEnd } from "../../support/scope.ts";
import { waitFor } from "../../support/wait.ts";
import { ANY_SECOND, AnySecond, Marks } from "../lab/any-second.ts";
import type { Lab } from "../lab/lab.ts";
import { describeOnHosts, keepLogsOfFailed, makeLab } from "../on-hosts.ts";
import { SeveralHosts } from "../several-hosts.ts";

describeOnHosts("any second over several hosts", () => {
  let lab: Lab;
  let several: SeveralHosts;
  let second: AnySecond;
  let marks: Marks;

  beforeAll(async () => {
    lab = await makeLab("h1", "h2", "h3");
    several = await SeveralHosts.alone(lab, program());
    second = new AnySecond(several);
    const [first] = lab.hosts;
    if (!first) throw new Error("a lab without hosts");
    for (const host of lab.hosts) several.configure(host, ANY_SECOND);
    await several.do(first, "up");
    await waitFor("the window to begin", async () => (await second.windowOn(first)).from !== null);
    marks = Marks.start(await several.endpoint(first, "write"));
    atEnd(async () => await marks.stop());
    await waitFor("marks", async () => (await second.count(first)) > 10);
  }, 240_000);

  keepLogsOfFailed(() => several);

  test("a window that runs goes on through ha init, and other hosts that join keep copies of it", async () => {
    const [h1, h2, h3] = [lab.host("h1"), lab.host("h2"), lab.host("h3")];
    const before = await second.windowOn(h1);
    await several.adopt();
    for (const host of [h2, h3]) await several.join(host);
    await several.ready();
    await second.copied(h1, 2);
    const after = await second.windowOn(h1);
    expect([after.from, after.gaps]).toEqual([before.from, []]);
    expect((await several.run(h2, "status")).stdout).toMatch(
      /^Window: any second from .* copies: h2 \(to .*\), h3 \(to /m,
    );
    expect((await several.run(h2, "backup", "window")).stderr).toMatch(/that is h1/);
    await second.isExact(h1, await second.momentOf(h1, "marks > 5"), "of_one");
  }, 400_000);

  test("a switchover leaves no gap, and seconds of before and after it come back exactly", async () => {
    const old = await several.leader();
    const { from } = await second.windowOn(old);
    const left = await second.count(old);
    await several.switchover();
    const primary = await several.leader();
    await several.ready();
    await waitFor("marks after the switchover", async () => (await second.count(primary)) > left + 20);
    await second.copied(primary, 2);
    const after = await second.windowOn(primary);
    expect([after.from, after.gaps]).toEqual([from, []]);
    await second.isExact(primary, await second.momentOf(primary, `marks < ${left}`), "before_switch");
    await second.isExact(primary, await second.momentOf(primary, `marks > ${left + 5}`), "after_switch");
  }, 400_000);

  test("the loss of the primary's host loses no second, and the host comes back as a copy", async () => {
    const lost = await several.leader();
    const { from } = await second.windowOn(lost);
    const before = await second.count(lost);
    // All that runs there ends at once, with its disk as it is.
    lost.unplug();
    lost.signal(/./, "SIGKILL");
    const primary = await several.leader(lost);
    await waitFor("marks after the loss", async () => (await second.count(primary)) > before + 20, {
      timeout: 90_000,
    });
    const left = await second.count(primary);
    const known = await second.windowOn(primary);
    expect([known.from, known.gaps]).toEqual([from, []]);
    await second.isExact(primary, await second.momentOf(primary, `marks < ${before}`), "before_loss");
    await second.isExact(
      primary,
      await second.momentOf(primary, `marks BETWEEN ${before + 5} AND ${left - 5}`),
      "after_loss",
    );

    lost.plugIn();
    await several.do(lost, "up");
    await several.ready(primary);
    await second.copied(primary, 2);
    const whole = await second.windowOn(primary);
    expect([whole.from, whole.gaps]).toEqual([from, []]);
    // What it archived while it was the primary is there, and what came after it, too.
    await several.do(primary, "switchover", "--to", lost.name);
    await several.ready(lost);
    await second.copied(lost, 2);
    const back = await second.windowOn(lost);
    expect([back.from, back.gaps]).toEqual([from, []]);
    await second.isExact(
      lost,
      await second.momentOf(lost, `marks BETWEEN ${before + 5} AND ${left - 5}`),
      "on_the_old_one",
    );
    await several.do(lost, "backup", "verify", "--any-second");
  }, 400_000);
});
