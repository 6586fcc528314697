import { describe, expect, test } from "vitest";
import { formerNames, isEnabled } from "../../src/model/alarm-settings.ts";
import { problemsIn, resolveText } from "./sources.ts";

const mail = (changes: string): string =>
  `alarms: { mail: { host: smtp.example.com, from: a@example.com, to: [b@example.com], ${changes} } }`;

describe("the configuration of alarms", () => {
  test("names a misspelt alarm's nearest, and says what an alarm cannot have", () => {
    expect(problemsIn("alarms: { rules: { disk_fillign: { threshold: 80 } } }")).toEqual([
      'odoo-pg.yaml:1: alarms.rules.disk_fillign: unknown alarm; did you mean "disk_filling"?',
    ]);
    expect(problemsIn("alarms: { rules: { node_down: { threshold: 80 } } }")).toEqual([
      'odoo-pg.yaml:1: alarms.rules.node_down: "node_down" has no threshold',
    ]);
    expect(problemsIn("alarms: { rules: { switchover: { after_seconds: 5 } } }")).toEqual([
      'odoo-pg.yaml:1: alarms.rules.switchover: "switchover" is reported when it happens: it does not last',
    ]);
    expect(problemsIn("alarms: { rules: { connections_nearly_used: { threshold: 850 } } }")).toEqual([
      "odoo-pg.yaml:1: alarms.rules.connections_nearly_used: the threshold is a share in %: it must be below 100",
    ]);
  });

  test("takes an alarm by the name that it had in version 0.1, but not by both", () => {
    const { rules } = resolveText("alarms: { rules: { backup_late: { enabled: false } } }").config.alarms;
    expect(isEnabled(rules, "backup_too_old")).toBe(false);
    expect(formerNames(rules)).toEqual([{ former: "backup_late", name: "backup_too_old" }]);
    expect(
      problemsIn("alarms: { rules: { wraparound: { threshold: 40 }, wraparound_approaching: {} } }"),
    ).toEqual([
      'odoo-pg.yaml:1: alarms.rules.wraparound: the same alarm as "wraparound_approaching", its name now',
    ]);
  });

  test("never repeats a secret that stands where its file should be named", () => {
    const [problem = ""] = problemsIn("alarms: { slack_file: 'https://hooks.slack.com/services/T0/B0/XYZ' }");
    expect(problem).toContain("must be the absolute path of a file");
    expect(problem).not.toContain("XYZ");
  });

  test("refuses half a login, a password in the clear, and what is not a mail address", () => {
    expect(problemsIn(mail("user: me"))[0]).toContain('a login needs "alarms.mail.password_file" too');
    expect(problemsIn(mail("password_file: /p"))[0]).toContain('a password needs "alarms.mail.user" too');
    expect(problemsIn(mail("user: me, password_file: /p, security: none"))[0]).toContain(
      '"none" would send the password to smtp.example.com in the clear: choose starttls or tls',
    );
    expect(problemsIn(mail("user: me, password_file: /p, security: none, host: localhost"))).toHaveLength(1);
    expect(
      problemsIn(
        'alarms: { mail: { host: h, from: "A <a@example.com>", to: ["b@example.com\\nBcc: c@d.e"] } }',
      ),
    ).toEqual([
      expect.stringContaining("is not a mail address"),
      expect.stringContaining("is not a mail address"),
    ]);
  });

  test("says nothing by default, and keeps what is said of a rule", () => {
    expect(resolveText("").config.alarms).toEqual({ command: [], rules: {} });
    expect(resolveText("alarms: { rules: { blocked: { enabled: false } } }").config.alarms.rules).toEqual({
      blocked: { enabled: false },
    });
  });
});
