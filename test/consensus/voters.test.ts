import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  majorityOf,
  nextVoterStep,
  wantedVoters,
  type VoterHost,
  type VoterMember,
} from "../../src/consensus/voters.ts";

const host = (number: number, answers = true): VoterHost => ({
  name: `h${number}`,
  peerUrl: `https://10.0.0.${number}:2380`,
  answers,
});
const member = (number: number, changes: Partial<VoterMember> = {}): VoterMember => ({
  id: String(number),
  peerUrl: `https://10.0.0.${number}:2380`,
  isLearner: false,
  isLevel: true,
  ...changes,
});
const hosts = (count: number): VoterHost[] => Array.from({ length: count }, (_, index) => host(index + 1));

describe("who votes", () => {
  test("is an odd number, and at most five", () => {
    expect([1, 2, 3, 4, 5, 6, 9].map((count) => wantedVoters(hosts(count)).length)).toEqual([
      1, 1, 3, 3, 5, 5, 5,
    ]);
  });

  test("a majority is more than half", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 99 }), (voters) => {
        expect(majorityOf(voters) * 2).toBeGreaterThan(voters);
        expect((majorityOf(voters) - 1) * 2).toBeLessThanOrEqual(voters);
      }),
    );
  });
});

describe("the next step to it", () => {
  test("a second host gets no vote", () => {
    expect(nextVoterStep(hosts(2), [member(1)])).toBeUndefined();
  });

  test("with a third, the second comes in without a vote first", () => {
    expect(nextVoterStep(hosts(3), [member(1)])).toEqual({
      kind: "add",
      host: "h2",
      peerUrl: "https://10.0.0.2:2380",
    });
  });

  test("nobody comes in while one that should vote does not answer: an even number would last", () => {
    expect(nextVoterStep([host(1), host(2), host(3, false)], [member(1)])).toBeUndefined();
    expect(
      nextVoterStep([host(1), host(2), host(3, false)], [member(1), member(2, { isLearner: true })]),
    ).toBeUndefined();
  });

  test("a learner that has not caught up gets no vote", () => {
    const members = [member(1), member(2, { isLearner: true, isLevel: false })];
    expect(nextVoterStep(hosts(3), members)).toBeUndefined();
  });

  test("a host that left loses its vote, and then who is one too many", () => {
    const members = [member(1), member(2), member(3)];
    expect(nextVoterStep(hosts(2), members)).toEqual({ kind: "remove", id: "3" });
    expect(nextVoterStep(hosts(2), members.slice(0, 2))).toEqual({ kind: "remove", id: "2" });
  });

  test("the last voter is never removed", () => {
    expect(nextVoterStep([host(2)], [member(1)])).not.toMatchObject({ kind: "remove" });
  });

  test("nothing is done before the members were seen", () => {
    expect(nextVoterStep(hosts(3), [])).toBeUndefined();
  });

  test("from any members, steps end at who should vote, and a majority is there all the way", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.uniqueArray(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 5 }),
        (count, voting) => {
          let members = voting.map((number) => member(number));
          for (let steps = 0; steps < 40; steps += 1) {
            const step = nextVoterStep(hosts(count), members);
            if (!step) break;
            const votersBefore = members.filter(({ isLearner }) => !isLearner).length;
            if (step.kind === "add") {
              // One learner at a time: the store takes no second.
              expect(members.some(({ isLearner }) => isLearner)).toBe(false);
              const number = Number(/(\d+):2380/.exec(step.peerUrl)?.[1]);
              members = [...members, member(number, { isLearner: true })];
            } else if (step.kind === "promote") {
              members = members.map((one) => (one.id === step.id ? { ...one, isLearner: false } : one));
            } else members = members.filter(({ id }) => id !== step.id);
            const voters = members.filter(({ isLearner }) => !isLearner).length;
            expect(voters).toBeGreaterThanOrEqual(1);
            expect(Math.abs(voters - votersBefore)).toBeLessThanOrEqual(1);
          }
          const left = members.filter(({ isLearner }) => !isLearner).map(({ peerUrl }) => peerUrl);
          expect(nextVoterStep(hosts(count), members)).toBeUndefined();
          expect(new Set(left)).toEqual(new Set(wantedVoters(hosts(count)).map(({ peerUrl }) => peerUrl)));
        },
      ),
    );
  });
});
