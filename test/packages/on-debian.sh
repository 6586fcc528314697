# Runs as root in a Debian that has nothing but its essential packages. $1: the name of the Debian.
# shellcheck disable=SC2086
set -euo pipefail
cd /root
say() { echo "== $*"; }
fail() { echo "FAILED: $*"; exit 1; }

apt-get -qq update >/dev/null

if [ "$1" = bookworm ]; then
  say "Debian 12's own nodejs is too old: the package says so, and installs nothing"
  if apt-get -q install -y ./odoo-pg.deb >refused 2>&1; then fail "it was installed with an old nodejs"; fi
  grep -q 'odoo-pg : Depends: nodejs (>= 20.19)' refused || { cat refused; fail "another reason"; }
  apt-get -qq install -y libstdc++6 ./nodejs.deb >/dev/null 2>&1
fi

say "installed with all that it needs"
apt-get -qq install -y --no-install-recommends ./odoo-pg.deb >installed 2>&1 || { cat installed; fail "apt-get install"; }
command -v odoo-pg haproxy node >/dev/null
ls /usr/lib/postgresql/*/bin/initdb >/dev/null
odoo-pg --version
test -s /usr/share/man/man1/odoo-pg.1.gz || test "$1" = none
test -s /usr/share/bash-completion/completions/odoo-pg
grep -q '^ExecStart=/usr/bin/env node --max-semi-space-size=2 /usr/bin/odoo-pg up --foreground$' /usr/lib/systemd/system/odoo-pg.service
test ! -e /var/lib/odoo-pg || fail "the installation made data"

say "started by its documents: odoo-pg up"
mkdir -p /etc/odoo-pg && cd /etc/odoo-pg
port() { shuf -i 10241-32000 -n 1; }
cat >odoo-pg.yaml <<YAML
nodes:
  - { name: pg1, port: $(port) }
  - { name: pg2, port: $(port) }
endpoints:
  read: { port: $(port) }
  write: { port: $(port) }
console: { enabled: false }
postgres: { parameters: { shared_buffers: 32MB } }
YAML
odoo-pg up
odoo-pg psql -- -qc 'CREATE TABLE public.kept AS SELECT 41 AS n'
server=$(head -n 1 /var/lib/odoo-pg/odoo/nodes/pg1/data/postmaster.pid)
alive() { kill -0 "$server" || fail "the server ended: $*"; }

say "upgraded while it runs: servers go on, status tells of the older agent, up replaces it"
dpkg-deb -R /root/odoo-pg.deb /root/newer
sed -i 's/^Version: .*/Version: 99.0.0/' /root/newer/DEBIAN/control
sed -i 's/odoo-pg-build-[0-9a-f]\{16\}/odoo-pg-build-0123456789abcdef/g' /root/newer/usr/lib/odoo-pg/odoo-pg.mjs
dpkg-deb -b /root/newer /root/newer.deb >/dev/null
apt-get -qq install -y /root/newer.deb >/dev/null 2>&1
dpkg-query -W -f '${Version}\n' odoo-pg | grep -qx 99.0.0
alive upgrade
odoo-pg status --json >told || true
grep -q agent_of_other_build told || { cat told; fail "status does not tell of the older agent"; }
odoo-pg up >/dev/null
odoo-pg status --json >told || true
grep -q agent_of_other_build told && fail "the older agent is still there"
alive up

say "removed: servers and data stay"
apt-get -qq remove -y odoo-pg >/dev/null 2>&1
test ! -e /usr/bin/odoo-pg || fail "the program is still there"
alive removal
test -s /var/lib/odoo-pg/odoo/nodes/pg1/data/PG_VERSION
dpkg --purge odoo-pg >/dev/null 2>&1
test -s /var/lib/odoo-pg/odoo/nodes/pg1/data/PG_VERSION || fail "purge took the data"
alive purge

say "installed again: the same cluster"
apt-get -qq install -y /root/newer.deb >/dev/null 2>&1
cd /etc/odoo-pg 2>/dev/null || cd /root
odoo-pg up >/dev/null
[ "$(odoo-pg psql -- -XAtqc 'SELECT n FROM public.kept')" = 41 ] || fail "the data is another"
odoo-pg down >/dev/null 2>&1
odoo-pg destroy --confirm odoo >/dev/null 2>&1
test ! -e /var/lib/odoo-pg/odoo
say "done"
