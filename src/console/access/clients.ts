import type { Context } from "hono";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import { OdooPgError } from "../../errors.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import { now } from "../../system/clock.ts";
import { notAllowed, signInNeeded } from "../answers.ts";
import type { ConsoleParts, Env } from "../console-parts.ts";
import type { Listener } from "./listeners.ts";
import { isPasswordOf, sameSecret } from "./passwords.ts";
import { SIGN_IN_LIFETIME, type Role, type SignIn } from "./sign-ins.ts";

/** The principal: signed in, or on loopback without a sign-in. */
export interface Client {
  readonly role: Role;
  readonly signIn: SignIn | undefined;
}

const TOKEN_HEADER = "x-odoo-pg-token";
/** A proxy says with these that the request is not from this host, whatever its address is. */
const FORWARDED = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/** Says whose a request is, and what its client may do, at one listener. */
export class Clients {
  readonly #parts: Pick<ConsoleParts, "cluster" | "readOnly" | "signIns" | "tries" | "passwords" | "log">;
  readonly #secure: boolean;
  readonly #cookie: string;

  constructor(parts: ConsoleParts, { secure }: Pick<Listener, "secure">) {
    this.#parts = parts;
    this.#secure = secure;
    // Cookies are shared by all ports of a host: the name keeps clusters apart.
    this.#cookie = `${secure ? "__Host-" : ""}odoo-pg-${parts.cluster}`;
  }

  get #cookieOptions() {
    return { httpOnly: true, sameSite: "Strict", path: "/", secure: this.#secure } as const;
  }

  /** The sign-in of a request; undefined where it has none, or no longer. */
  signInOf(context: Context<Env>): SignIn | undefined {
    const id = getCookie(context, this.#cookie);
    const found = id === undefined ? undefined : this.#parts.signIns.find(id, now());
    if (found) context.env.known();
    return found;
  }

  /** Undefined where a sign-in is needed. */
  find(context: Context<Env>): Client | undefined {
    const signIn = this.signInOf(context);
    if (signIn) return { role: signIn.role, signIn };
    const direct = FORWARDED.every((name) => context.req.header(name) === undefined);
    return this.#secure || !direct ? undefined : { role: "viewer", signIn: undefined };
  }

  /** @throws OdooPgError sign_in_needed */
  of(context: Context<Env>): Client {
    const found = this.find(context);
    if (!found) throw signInNeeded();
    return found;
  }

  /** Sets the cookie of a new sign-in; the previous one of the same browser ends. @param how for the log */
  signIn(context: Context<Env>, role: Role, how: string): void {
    const { signIns, log } = this.#parts;
    const before = getCookie(context, this.#cookie);
    if (before !== undefined) signIns.remove(before);
    setCookie(context, this.#cookie, signIns.add(role, now()), {
      ...this.#cookieOptions,
      maxAge: SIGN_IN_LIFETIME / 1000,
    });
    log("info", `console: ${context.env.remote} signed in as ${role} (${how})`);
  }

  signOut(context: Context<Env>): void {
    const id = getCookie(context, this.#cookie);
    if (id !== undefined) this.#parts.signIns.remove(id);
    deleteCookie(context, this.#cookie, this.#cookieOptions);
  }

  /** Whether a password is that of one of these roles. @throws OdooPgError too_many_tries */
  async isRightPassword(context: Context<Env>, roles: readonly Role[], given: string): Promise<boolean> {
    const { tries, passwords, log } = this.#parts;
    const { remote } = context.env;
    const wait = tries.wait(remote, now());
    if (wait > 0) {
      context.header("retry-after", String(wait));
      throw new OdooPgError("too_many_tries", {
        message: `Too many wrong passwords. Try again in ${wait} s.`,
        next: nextStep`For a link that signs in at once: ${odooPg("console")}`,
      });
    }
    const kept = await passwords();
    if (roles.some((role) => isPasswordOf(role, given, kept))) return true;
    tries.wrong(remote, now());
    log("warn", `console: a wrong password from ${remote}`);
    return false;
  }

  /** An operator who has signed in, and only reads. @throws OdooPgError sign_in_needed, not_allowed */
  readingOperator(context: Context<Env>): SignIn {
    const { role, signIn } = this.of(context);
    if (!signIn)
      throw notAllowed(
        "Only an operator who has signed in may do this.",
        nextStep`For a link that signs in: ${odooPg("console")}`,
      );
    if (role !== "operator") throw notAllowed("A viewer may look, and do nothing.", "Sign in as operator.");
    return signIn;
  }

  /**
   * An operator who gives an order.
   * @param token of the page that the order comes from; default: from the request's header
   * @throws OdooPgError sign_in_needed, not_allowed
   */
  operator(context: Context<Env>, token = context.req.header(TOKEN_HEADER) ?? ""): Role {
    const { role, token: expected } = this.readingOperator(context);
    if (!sameSecret(token, expected))
      throw notAllowed("The page's token is missing or old.", "Load the page again.");
    if (this.#parts.readOnly)
      throw notAllowed(
        "The configuration allows no changes from here.",
        nextStep`See console.read_only: ${odooPg("config", "show")}`,
      );
    return role;
  }
}
