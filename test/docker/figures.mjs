// How large the image is, and how long a primary and a replica take from nothing to streaming.
import { psql } from "./containers.mjs";
import { docker, until } from "./engine.mjs";

const PASSWORD = "s3cret-Pa55word";
const STREAMS = "SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming'";

/** The same by PostgreSQL's own tools, with the settings of the image's programs as they come. */
const BARE_PRIMARY = `
initdb -D /tmp/data --auth=trust -k >/dev/null
echo "host all all 0.0.0.0/0 trust
host replication all 0.0.0.0/0 trust" >> /tmp/data/pg_hba.conf
pg_ctl -D /tmp/data -w -l /tmp/log -o "-c listen_addresses=* -c unix_socket_directories=/tmp" start >/dev/null
psql -h /tmp -qc "CREATE ROLE replicator LOGIN REPLICATION" -c "SELECT pg_create_physical_replication_slot('replica')" >/dev/null
touch /tmp/ready
exec sleep 600`;
const bareReplica = (primary) => `
until pg_basebackup -D /tmp/data -h ${primary} -U replicator -R -S replica -c fast 2>/dev/null; do sleep 0.1; done
pg_ctl -D /tmp/data -w -l /tmp/log -o "-c listen_addresses= -c unix_socket_directories=/tmp" start >/dev/null
exec sleep 600`;

async function seconds(act) {
  const begun = Date.now();
  await act();
  return ((Date.now() - begun) / 1000).toFixed(1);
}

export async function figures(containers) {
  const network = ["--network", await containers.network()];
  const megabytes = Math.round(
    Number(await docker("image", "inspect", "-f", "{{.Size}}", containers.image)) / 1e6,
  );
  const ours = await seconds(async () => {
    const primary = await containers.start("p", [
      ...network,
      "-e",
      `POSTGRES_PASSWORD=${PASSWORD}`,
      "-e",
      `REPLICATOR_PGSQL_PASSWD=${PASSWORD}2`,
    ]);
    const follow = ["-e", `SLAVEHOST=${primary}`, "-e", `SLAVEPASSWORD=${PASSWORD}2`];
    // The engine starts it again until its primary lets it in.
    const replica = await containers.start("r", [...network, ...follow, "--restart", "on-failure"]);
    await until("streaming", async () => (await psql(replica, STREAMS)) === "1");
    await containers.remove(replica);
    await containers.remove(primary);
  });
  const bare = await seconds(async () => {
    const user = ["--user", "postgres", "-e", "PGHOST=/tmp"];
    const primary = await containers.start("bp", [...network, ...user], ["sh", "-ec", BARE_PRIMARY]);
    const replica = await containers.start("br", [...network, ...user], ["sh", "-ec", bareReplica(primary)]);
    await until("streaming", async () => (await psql(replica, STREAMS)) === "1");
    await containers.remove(replica);
    await containers.remove(primary);
  });
  return `image ${megabytes} MB; from nothing to streaming ${ours} s, with the bare tools in the same containers ${bare} s`;
}
