import { execa } from "execa";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { freePorts, inFolder } from "./throwaway.ts";

/** Where the packages are installed, or else where `scripts/setup.mjs --hosts` unpacks them. */
const root = ["", "/var/cache/odoo-pg/debian-13"].find((folder) =>
  existsSync(`${folder}/usr/bin/patronictl`),
);
const PATRONICTL = `${root ?? ""}/usr/bin/patronictl`;
const ETCD = `${root ?? ""}/usr/bin/etcd`;
const env = root ? { PYTHONPATH: `${root}/usr/lib/python3/dist-packages` } : {};

/** Debian: apt-get install --no-install-recommends patroni etcd-server python3-etcd python3-cdiff */
export const patroniIsHere = existsSync(PATRONICTL) && existsSync(ETCD);

/** Runs with `patronictl list` of two members, whose records lie in an etcd of its own. */
export async function withPatroni<T>(use: (list: () => Promise<string>) => Promise<T>): Promise<T> {
  return await inFolder(async (folder) => {
    const [port = 0, peer = 0] = await freePorts(2);
    const client = `http://127.0.0.1:${port}`;
    const peers = `http://127.0.0.1:${peer}`;
    const etcd = execa(
      ETCD,
      [
        ["--data-dir", join(folder, "etcd")],
        ["--listen-client-urls", client, "--advertise-client-urls", client],
        ["--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers],
        ["--initial-cluster", `default=${peers}`],
      ].flat(),
      { stdin: "ignore", stdout: "ignore", stderr: "ignore", reject: false },
    );
    try {
      for (let attempt = 0; !(await answers(`${client}/health`)); attempt += 1) {
        if (attempt === 100) throw new Error("etcd does not answer within 10 s");
        await pause(100);
      }
      const member = (at: number, role: string): string =>
        JSON.stringify({
          conn_url: `postgres://127.0.0.1:${at}/postgres`,
          api_url: `http://127.0.0.1:${at + 3000}/patroni`,
          state: "running",
          role,
          version: "3.0.2",
          xlog_location: 67_108_960,
          timeline: 1,
        });
      for (const [key, value] of [
        ["initialize", "7300000000000000000"],
        ["leader", "pg1"],
        ["status", '{"optime":67108960}'],
        ["members/pg1", member(5433, "master")],
        ["members/pg2", member(5434, "replica")],
      ] as const)
        await put(client, `/service/bench/${key}`, value);
      const configuration = join(folder, "patroni.yml");
      writeFileSync(
        configuration,
        `scope: bench\nnamespace: /service/\nname: pg1\netcd3: { host: 127.0.0.1:${port} }\n`,
      );
      return await use(async () => (await execa(PATRONICTL, ["-c", configuration, "list"], { env })).stdout);
    } finally {
      etcd.kill("SIGTERM");
      await etcd;
    }
  });
}

async function answers(url: string): Promise<boolean> {
  return await fetch(url).then(
    (response) => response.ok,
    () => false,
  );
}

async function put(client: string, key: string, value: string): Promise<void> {
  const encoded = (text: string): string => Buffer.from(text).toString("base64");
  const response = await fetch(`${client}/v3/kv/put`, {
    method: "POST",
    body: JSON.stringify({ key: encoded(key), value: encoded(value) }),
  });
  if (!response.ok) throw new Error(`etcd refuses ${key}: ${response.status}`);
}
