import { describe, expect, test } from "vitest";
import type { StoredValue } from "../../../src/consensus/etcd.ts";
import { memberStart } from "../../../src/hosts/decisions/store/member-start.ts";
import { careFor, type CaredMember, leadElsewhere } from "../../../src/hosts/decisions/store/store-care.ts";
import { viewOfStore } from "../../../src/hosts/documents/store-view.ts";

test("what cannot be read in the store counts as not there", () => {
  const value = (text: string): StoredValue => ({ value: text, revision: 1n, lease: undefined });
  const view = viewOfStore(
    new Map([
      ["leader", value("h1")],
      ["sync", value("not json")],
      ["members/h1", value('{"role":"primary","state":"running"}')],
      ["members/h2", value("")],
      ["config", value('{"pause":true}')],
    ]),
  );
  expect(view).toMatchObject({ leader: "h1", synchronous: [], paused: true, founded: false });
  expect([...view.members.keys()]).toEqual(["h1"]);
});

describe("the member of the first host", () => {
  const [own, other] = [
    { name: "h1", url: "https://10.0.0.1:2380", votes: true },
    { name: "h2", url: "https://10.0.0.2:2380", votes: true },
  ];
  const first = { state: "new", members: { h1: own.url } } as const;

  test("begins a store as long as it is alone, or another has no vote yet", () => {
    expect(memberStart(first, [own], own)).toBeUndefined();
    expect(memberStart(first, [own, { ...other, votes: false }], own)).toBeUndefined();
  });

  test("never begins one again once another votes", () => {
    const next = memberStart(first, [own, other], own);
    expect(next).toEqual({ state: "existing", members: { h1: own.url, h2: other.url } });
    expect(memberStart(next, [own, other], own)).toBeUndefined();
  });

  test("of another host joins as one of those that are there, its own without a name yet", () => {
    const members = [own, { ...other, name: "", votes: false }];
    expect(memberStart(undefined, members, other)).toEqual({
      state: "existing",
      members: { h1: own.url, h2: other.url },
    });
    expect(memberStart(undefined, [own], other)).toBeUndefined();
  });
});

describe("care of the store", () => {
  const MB = 1024 * 1024;
  const member = (number: number, changes: Partial<CaredMember> = {}): CaredMember => ({
    id: `m${number}`,
    address: `10.0.0.${number}`,
    votes: true,
    isLevel: true,
    leads: number === 1,
    bytes: MB,
    inUse: MB,
    isFull: false,
    ...changes,
  });
  const quota = 256 * MB;
  const three = [member(1), member(2), member(3)];

  test("none where all is well", () => {
    expect(careFor(three, quota)).toBeUndefined();
  });

  test("a file that is mostly empty is made smaller, that of who leads last", () => {
    const sparse = { bytes: 100 * MB, inUse: 10 * MB };
    const members = [member(1, sparse), member(2, sparse), member(3)];
    expect(careFor(members, quota)).toEqual({ kind: "defragment", address: "10.0.0.2" });
    expect(careFor([member(1, sparse), member(2), member(3)], quota)).toEqual({
      kind: "defragment",
      address: "10.0.0.1",
    });
  });

  test("a full member takes writes again once it has room", () => {
    const full = { isFull: true, bytes: 250 * MB, inUse: 20 * MB };
    expect(careFor([member(1), member(2, full), member(3)], quota)).toEqual({
      kind: "defragment",
      address: "10.0.0.2",
    });
    expect(careFor([member(1), member(2, { isFull: true }), member(3)], quota)).toEqual({
      kind: "disarm",
      id: "m2",
    });
  });

  test("nothing is done while a member is away", () => {
    const members = [member(1, { bytes: 200 * MB }), member(2, { isLevel: false }), member(3)];
    expect(careFor(members, quota)).toBeUndefined();
  });

  test("it is led elsewhere than on the primary's host, by a witness before all", () => {
    const elsewhere = { primary: "10.0.0.1", witnesses: ["10.0.0.3"] };
    expect(leadElsewhere(three, elsewhere)).toEqual({ from: "10.0.0.1", id: "m3" });
    expect(leadElsewhere(three, { ...elsewhere, witnesses: [] })).toEqual({ from: "10.0.0.1", id: "m2" });
    expect(leadElsewhere(three, { ...elsewhere, primary: "10.0.0.2" })).toBeUndefined();
    expect(leadElsewhere([member(1)], elsewhere)).toBeUndefined();
  });

  test("it is so at once after a host was lost, by one that is level and votes", () => {
    const elsewhere = { primary: "10.0.0.1", witnesses: ["10.0.0.3"] };
    const lost = member(3, { isLevel: false });
    expect(leadElsewhere([member(1), member(2), lost], elsewhere)).toEqual({ from: "10.0.0.1", id: "m2" });
    expect(leadElsewhere([member(1), member(2, { votes: false }), lost], elsewhere)).toBeUndefined();
  });
});
