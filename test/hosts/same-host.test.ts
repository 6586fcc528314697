import * as fc from "fast-check";
import { expect, test } from "vitest";
import { layoutOf } from "../../src/config/layout.ts";
import { askerOf } from "../../src/hosts/decisions/certificates/asker.ts";
import { isSameHost, withOwnMark } from "../../src/hosts/decisions/certificates/same-host.ts";
import { hostFiles } from "../../src/hosts/documents/files.ts";
import {
  keepDocument,
  newHostId,
  readHostRecord,
  wholeHostRecord,
  writeHostRecord,
  type ClusterDocument,
  type Host,
  type HostRecord,
} from "../../src/hosts/documents/record.ts";
import { withHost, withoutHost } from "../../src/hosts/joining/joining.ts";
import { ensureDirectory } from "../../src/system/files/files.ts";
import { askTls, serveTls } from "../../src/system/network/mutual-tls.ts";
import { freePort } from "../support/ports.ts";
import { atEnd } from "../support/scope.ts";
import { withCertificate } from "./authority.ts";
import { documentOf, recordOf } from "./standins.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

const db1: Host = { name: "db1", role: "database", address: "10.0.0.1", id: newHostId() };
const db2: Host = { name: "db2", role: "database", address: "10.0.0.2", id: newHostId() };

const isListed = ({ hosts }: ClusterDocument, record: HostRecord): boolean =>
  hosts.some((host) => isSameHost(host, record));

test("a machine that was removed is no host any more, also where another one was given its name and its address", () => {
  const addresses = fc.constantFrom("10.0.0.2", "10.0.0.7");
  fc.assert(
    fc.property(addresses, addresses, fc.boolean(), (before, after, hadMark) => {
      const old: Host = { ...db2, address: before };
      const record = recordOf(old);
      const another: Host = { ...db2, address: after, id: newHostId() };
      const document = withHost(withoutHost(documentOf(db1, old), "db2"), another);
      expect(isListed(document, recordOf(another))).toBe(true);
      // One of an earlier odoo-pg has no mark.
      const { id: _id, ...unmarked } = record;
      expect(isListed(document, hadMark ? record : unmarked)).toBe(false);
      expect(withOwnMark(document, hadMark ? record : unmarked)).toBeUndefined();
    }),
  );
});

test("also one that joins by a name that is in still takes it over: the machine that had it is none any more", () => {
  const again: Host = { ...db2, id: newHostId() };
  const document = withHost(documentOf(db1, db2), again);
  expect(document.hosts.map(({ name }) => name)).toEqual(["db1", "db2"]);
  expect(isListed(document, recordOf(again))).toBe(true);
  expect(isListed(document, recordOf(db2))).toBe(false);
});

test("hosts of an earlier odoo-pg stay what they are, and each marks itself, once, at its own address alone", () => {
  const { id: _id, ...unmarked } = db2;
  const document = documentOf(db1, unmarked);
  const record = recordOf(db2);
  expect(isListed(document, recordOf(unmarked))).toBe(true);
  expect(isListed(document, record)).toBe(true);
  const elsewhere = { ...record, address: "10.0.0.7" };
  expect(isListed(document, elsewhere)).toBe(false);
  expect(withOwnMark(document, elsewhere)).toBeUndefined();
  const marked = withOwnMark(document, record);
  expect(marked).toEqual(documentOf(db1, db2));
  expect(marked && withOwnMark(marked, record)).toBeUndefined();
});

test("the mark of a host is made once, and one whose record is put back from an old copy has it from the document", async () => {
  const layout = layoutOf(`${temporaryFolder()}/state`);
  await ensureDirectory(hostFiles(layout).dir, { mode: 0o755 });
  const { id: _id, ...earlier } = recordOf(db2);
  await writeHostRecord(layout, earlier);
  const first = await wholeHostRecord(layout);
  expect(first?.id).toMatch(/^[0-9a-f]{16}$/);
  expect(await wholeHostRecord(layout)).toEqual(first);
  expect(await readHostRecord(layout)).toEqual(first);
  await writeHostRecord(layout, earlier);
  await keepDocument(layout, documentOf(db1, db2));
  expect((await wholeHostRecord(layout))?.id).toBe(db2.id);
});

test("of two machines with good certificates of one name the agents answer the one that the document has", async () => {
  const local: Host = { ...db2, address: "127.0.0.1" };
  const { identity } = await withCertificate(local);
  const port = await freePort();
  const document = documentOf(db1, local);
  const door = await serveTls({
    host: "127.0.0.1",
    port,
    identity,
    answer: async (question) =>
      await Promise.resolve({
        status: 200,
        body: { peer: askerOf(document, question, Date.now()).peer ?? null },
      }),
  });
  atEnd(door.close);
  const asks = async (id: string | undefined): Promise<string> =>
    (
      await askTls({
        host: "127.0.0.1",
        port,
        method: "GET",
        path: "/report",
        trust: { ...identity, id },
        timeout: 5000,
      })
    ).text;
  expect(await asks(local.id)).toBe('{"peer":"db2"}');
  expect(await asks(newHostId())).toBe('{"peer":null}');
  expect(await asks(undefined)).toBe('{"peer":null}');
});
