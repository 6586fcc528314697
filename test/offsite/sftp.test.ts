import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { userInfo } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { throwawayCluster, type ThrowawayCluster } from "../support/cluster.ts";
import { makeOdooDatabase } from "../support/odoo-database.ts";
import { freePort } from "../support/ports.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";

/** Debian's; macOS has its own there too. */
const SSHD = "/usr/sbin/sshd";

interface Server {
  readonly port: number;
  /** In which programs find an ssh that knows the way, as the user's own configuration of it would say it. */
  readonly path: string;
  readonly end: () => Promise<void>;
}

/** An SSH server that lets in whoever runs the tests, by a key of its own, and serves files alone. */
async function serveFiles(): Promise<Server> {
  const folder = temporaryFolder();
  const port = await freePort();
  const key = (name: string): string => {
    const file = join(folder, name);
    execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", file]);
    return file;
  };
  const [host, user] = [key("host_key"), key("user_key")];
  const known = join(folder, "known_hosts");
  writeFileSync(known, `[127.0.0.1]:${port} ${readFileSync(`${host}.pub`, "utf8")}`);
  const settings = [
    `Port ${port}`,
    "ListenAddress 127.0.0.1",
    `HostKey ${host}`,
    `AuthorizedKeysFile ${user}.pub`,
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "UsePAM no",
    "StrictModes no",
    "PidFile none",
    "Subsystem sftp internal-sftp",
    "ForceCommand internal-sftp",
  ];
  const configuration = join(folder, "sshd_config");
  writeFileSync(configuration, `${settings.join("\n")}\n`);
  // Made by its service, which does not run here.
  if (process.getuid?.() === 0) mkdirSync("/run/sshd", { recursive: true });
  const server = spawn(SSHD, ["-D", "-e", "-f", configuration], { stdio: ["ignore", "ignore", "pipe"] });
  let words = "";
  server.stderr.setEncoding("utf8").on("data", (text: string) => {
    words += text;
  });
  const ended = once(server, "exit");
  const end = async (): Promise<void> => {
    server.kill("SIGTERM");
    await ended;
  };
  atEnd(end);
  await waitFor("the SSH server", async () => {
    if (server.exitCode !== null) throw new Error(words);
    const socket = connect(port, "127.0.0.1");
    try {
      await once(socket, "connect");
      return true;
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  });
  const bin = join(folder, "bin");
  mkdirSync(bin);
  const options = [
    `IdentityFile=${user}`,
    `UserKnownHostsFile=${known}`,
    "BatchMode=yes",
    "IdentitiesOnly=yes",
  ];
  const given = options.map((option) => `-o ${option}`).join(" ");
  writeFileSync(join(bin, "ssh"), `#!/bin/sh\nexec /usr/bin/ssh -F none ${given} "$@"\n`);
  chmodSync(join(bin, "ssh"), 0o755);
  return { port, path: `${bin}:${process.env["PATH"] ?? ""}`, end };
}

async function host(offsite: Record<string, unknown>, path: string): Promise<ThrowawayCluster> {
  const cluster = await throwawayCluster({ nodes: 1, env: { PATH: path } });
  const filestore = join(cluster.folder, "filestore");
  mkdirSync(filestore, { mode: 0o755 });
  cluster.configure({ odoo: { filestore }, backup: { offsite: [offsite] } });
  return cluster;
}

test.runIf(existsSync(SSHD))(
  "a copy on an SFTP server brings the backups back to another host, and one whose server is gone says so",
  async () => {
    const server = await serveFiles();
    const elsewhere = temporaryFolder();
    writeFileSync(join(elsewhere, "passphrase"), "of a test\n", { mode: 0o600 });
    const offsite = {
      name: "nas",
      repository: `sftp://${userInfo().username}@127.0.0.1:${server.port}/${join(elsewhere, "copies")}`,
      passphrase_file: join(elsewhere, "passphrase"),
      schedule: "off",
    };
    const cluster = await host(offsite, server.path);
    await cluster.up();
    const { files } = await makeOdooDatabase({
      superuser: cluster.superuser(),
      database: "shop",
      filestore: join(cluster.folder, "filestore"),
    });
    expect((await cluster.run(["backup", "create", "shop"])).exitCode).toBe(0);
    for (let time = 0; time < 2; time++) {
      const copied = await cluster.run(["backup", "copy"]);
      expect([copied.exitCode, copied.stdout, copied.stderr]).toEqual([
        0,
        expect.stringContaining("Copied to nas"),
        expect.any(String),
      ]);
    }
    expect(readdirSync(join(elsewhere, "copies", "snapshots"))).toHaveLength(2);
    await cluster.down();
    rmSync(`${cluster.stateDir}.backups`, { recursive: true });

    const other = await host(offsite, server.path);
    const fetched = await other.run(["backup", "fetch", "--from", "nas"]);
    expect([fetched.exitCode, fetched.stdout]).toEqual([0, expect.stringContaining("Fetched the backups")]);
    await other.up();
    const { stdout } = await other.run(["backup", "list", "--json"]);
    const [, id = ""] = /"id": *"([^"]+)"/.exec(stdout) ?? [];
    const restored = await other.run(["restore", id, "--as", "shop"]);
    expect(restored.stderr + restored.stdout).toContain("compared and complete");
    for (const name of files) expect(existsSync(join(other.folder, "filestore", "shop", name))).toBe(true);

    await server.end();
    const refused = await other.run(["backup", "copy"]);
    expect([refused.exitCode, refused.stderr]).toEqual([1, expect.stringContaining("restic")]);
    expect((await other.status()).warnings.map(({ code }) => code)).toContain("copy_failed");
  },
);
