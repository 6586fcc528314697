/**
 * The unit of the Debian package: what `odoo-pg systemd` prints, for the installed program; enabled by whoever wants it. A
 * configuration is optional. Node.js gets the same arguments, and is found as the program itself finds it.
 * @param {string} printed
 */
export function packagedUnit(printed) {
  const own = /^ExecStart=(?:"[^"]*"|\S+) ((?:--\S+ )*)(?:"[^"]*"|\S+) up --foreground.*$/m;
  const [line, forNode] = own.exec(printed) ?? [];
  if (line === undefined) throw new Error(`no command of odoo-pg's in the unit:\n${printed}`);
  return printed
    .replace(/^#.*\n/gm, "")
    .replace(
      line,
      `ConfigurationDirectory=odoo-pg\nWorkingDirectory=/etc/odoo-pg\nExecStart=/usr/bin/env node ${forNode}/usr/bin/odoo-pg up --foreground`,
    );
}
