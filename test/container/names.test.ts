import { describe, expect, it } from "vitest";
import { renderHaproxy } from "../../src/endpoints/render.ts";

function rendered(host: string): string {
  return renderHaproxy({
    nodes: [{ name: "primary", host, port: 5432 }],
    read: { port: 5435, consistency: "bounded" },
    write: { port: 5436 },
    listen: ["*"],
    networks: [],
    hasIpv6: false,
    maxSessions: 100,
    gate: { waitSeconds: 60, role: "odoo", sessions: {} },
  });
}

describe("nodes that are named, not numbered", () => {
  it("are asked for all the time, and may stand twice under one name", () => {
    const text = rendered("primary");
    expect(text).toContain("resolvers names resolve-prefer ipv4 resolve-opts allow-dup-ip");
    expect(text).toContain("parse-resolv-conf");
    // An address that is no longer answered goes at once; only silence keeps the old one.
    expect(text).not.toContain("hold obsolete");
  });

  it("are nobody to ask for where all have addresses", () => {
    expect(rendered("10.0.0.5")).not.toContain("resolvers");
    expect(rendered("localhost")).not.toContain("resolvers");
  });
});
