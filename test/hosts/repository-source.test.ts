import { once } from "node:events";
import { connect, type TLSSocket } from "node:tls";
import { expect, test } from "vitest";
import { RepositoryService } from "../../src/archive/copying/serve.ts";
import { rebuildInfo } from "../../src/archive/pgbackrest.ts";
import { repositorySource } from "../../src/hosts/archiving/repository-source.ts";
import { serveTls, type TlsIdentity } from "../../src/system/network/mutual-tls.ts";
import {
  copyAll,
  emptyCopy,
  filesOf,
  neededFiles,
  newArchiving,
  pgbackrestFor,
  shown,
  STANZA,
  told,
} from "../archive/copying/real-repository.ts";
import { RepositoryCopier } from "../../src/archive/copying/copier.ts";
import { freePort } from "../support/ports.ts";
import { atEnd } from "../support/scope.ts";
import { waitFor } from "../support/wait.ts";
import { withCertificate } from "./authority.ts";

async function identityOf(name: string): Promise<TlsIdentity> {
  return (await withCertificate({ name, role: "database", address: "127.0.0.1" })).identity;
}

test("a repository comes over TLS as it is, and backup.info then tells of what is there", async () => {
  const primary = await newArchiving();
  await primary.pgbackrest("--type=full", "backup");
  await primary.write(50_000);
  const identity = await identityOf("db1");
  const port = await freePort();
  const service = new RepositoryService();
  const server = await serveTls({
    host: "127.0.0.1",
    port,
    identity,
    answer: async ({ path, body, peer }) =>
      peer === "db1"
        ? await service.answer({ repository: primary.repository, stanza: STANZA }, path, body)
        : { status: 403, body: { error: "not a host of this cluster" } },
  });
  atEnd(server.close);
  const own = await emptyCopy(primary);
  const source = repositorySource(identity, { name: "db1", address: "127.0.0.1" }, port);
  const { conf } = await pgbackrestFor(own.repository, own.dataDir);
  const pgbackrest = { program: "pgbackrest", conf, stanza: STANZA, owner: own.owner };

  const copier = new RepositoryCopier();
  await copier.fetch(source, own, { isPrimary: false });
  await rebuildInfo(pgbackrest);
  const state = await copier.fetch(source, own, { isPrimary: false });

  expect(state).toMatchObject({ whole: true, walWhole: true, stale: false, problem: null });
  expect(filesOf(own.repository)).toEqual(neededFiles(primary.repository));
  expect(await told(own)).toEqual(await told(primary));
  // Whoever is no host of the cluster gets nothing.
  const stranger = repositorySource(await identityOf("db9"), { name: "db1", address: "127.0.0.1" }, port);
  const refused = await new RepositoryCopier().fetch(stranger, await emptyCopy(primary), {
    isPrimary: false,
  });
  expect(refused.problem?.kind).toBe("unreachable");
  await copyAll(shown(primary.repository), own);
});

test("an answer that nobody reads ends, and one certificate has so many connections", async () => {
  const identity = await identityOf("db1");
  const port = await freePort();
  const ended: string[] = [];
  const server = await serveTls({
    host: "127.0.0.1",
    port,
    identity,
    readWithin: 300,
    answer: async ({ path, sent }) => {
      void sent.then(() => ended.push(path));
      return await Promise.resolve({
        status: 200,
        bytes: Buffer.alloc(path === "/many" ? 64 * 1024 * 1024 : 1),
      });
    },
  });
  atEnd(server.close);
  const opened = async (path: string): Promise<TLSSocket> => {
    const socket = connect({
      host: "127.0.0.1",
      port,
      cert: identity.certificate,
      key: identity.key,
      ca: identity.authority,
    });
    atEnd(() => void socket.destroy());
    socket.on("error", () => {});
    await once(socket, "secureConnect");
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    return socket;
  };
  const unread = await opened("/many");
  unread.pause();
  await waitFor("the answer to end", () => ended.includes("/many"));
  ended.length = 0;

  const sockets: TLSSocket[] = [];
  for (let count = 0; count < 17; count++) {
    const socket = await opened("/one");
    await once(socket, "data");
    socket.resume();
    sockets.push(socket);
  }

  const [first, ...others] = sockets;
  await waitFor("the oldest to be closed", () => first?.destroyed === true || first?.readableEnded === true);
  expect(others.filter(({ destroyed, readableEnded }) => !destroyed && !readableEnded)).toHaveLength(16);
  expect(ended).toHaveLength(17);
});
