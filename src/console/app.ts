import { nextStep, odooPg } from "../next-step.ts";
import { Hono, type Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import { deleteCookie, getCookie, setCookie } from "hono/cookie";
import * as z from "zod";
import { OdooPgError } from "../errors.ts";
import { now } from "../system/clock.ts";
import type { Log } from "../system/log.ts";
import type { Caller } from "../system/network/web.ts";
import type { OneTimeKeys } from "./access/one-time-keys.ts";
import { isFromHere, mayBearHost, type Listener } from "./access/listeners.ts";
import { isPasswordOf, sameSecret, type ConsolePasswords } from "./access/passwords.ts";
import { SIGN_IN_LIFETIME, type Role, type SignIn, type SignIns } from "./access/sign-ins.ts";
import type { Tries } from "./access/tries.ts";
import { actionSchema, confirmationOf, type Action } from "../model/console-actions.ts";
import { readingSchema } from "../model/console-readings.ts";
import { errorAnswer, notAllowed, parsed, signInNeeded, statusOf } from "./answers.ts";
import type { Principal } from "../cluster/documents/console.ts";
import { eventStream } from "./event-stream.ts";
import type { Downloads } from "./downloads.ts";
import { addUploads, pieceLimit, UPLOADS } from "./upload-routes.ts";
import { givenSchema, type GivenSecret } from "./given-secret.ts";
import type { Uploads } from "./uploads.ts";
import type { Feed } from "./feed.ts";
import { forPrincipal } from "./for-principal.ts";
import type { Jobs } from "./jobs.ts";
import type { PageFile } from "./page-files.ts";
import type { Readings } from "./readings.ts";
import { SIGN_IN_POLICY, signInPage } from "./sign-in-page.ts";
import type { Board, ConsoleSource } from "./source.ts";

/** What all listeners of a console share. */
export interface ConsoleParts {
  readonly cluster: string;
  readonly readOnly: boolean;
  readonly source: ConsoleSource;
  readonly feed: Feed;
  readonly jobs: Jobs;
  readonly readings: Readings;
  readonly downloads: Downloads;
  readonly uploads: Uploads;
  readonly secrets: GivenSecret;
  readonly signIns: SignIns;
  readonly keys: OneTimeKeys;
  readonly tries: Tries;
  /** Read at each use, so that a change of a file changes the password. */
  readonly passwords: () => Promise<ConsolePasswords>;
  readonly page: { readonly files: readonly PageFile[]; readonly policy: string };
  readonly board: Board | undefined;
  /** Prometheus' text; undefined where there is none. */
  readonly metrics: (() => Promise<string>) | undefined;
  readonly log: Log;
}

type Env = { Bindings: Caller };

/** The principal: signed in, or on loopback without a sign-in. */
interface Client {
  readonly role: Role;
  readonly signIn: SignIn | undefined;
}

/** Maximum bytes of a request's body. */
const BODY_LIMIT = 16 * 1024;
/** Pages that may be open at the same time, and how many of those without a sign-in. */
const STREAMS = 32;
const STREAMS_OF_STRANGERS = 24;

const TOKEN_HEADER = "x-odoo-pg-token";
/** A proxy says with these that the request is not from this host, whatever its address is. */
const FORWARDED = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

const signInForm = z.object({ role: z.enum(["viewer", "operator"]), password: z.string().min(1).max(1000) });
/** The fields of a board's form. */
const orderForm = z.record(z.string().max(40), z.string().max(200));
const orderSchema = z.strictObject({ action: actionSchema, confirm: z.string().max(200).optional() });

/**
 * The console at one address. Access: - viewing: on loopback everyone, elsewhere signed-in users - statements, lines of
 * commands, the parts behind the first page, and orders: operators who have signed in
 * @param certified whether the listener's certificate is good for a name
 */
export function consoleApp(
  parts: ConsoleParts,
  listener: Listener,
  certified: (name: string) => boolean,
): Hono<Env> {
  const { feed, jobs, page, signIns } = parts;
  const app = new Hono<Env>();
  // Cookies are shared by all ports of a host: the name keeps clusters apart.
  const cookie = `${listener.secure ? "__Host-" : ""}odoo-pg-${parts.cluster}`;
  const cookieOptions = { httpOnly: true, sameSite: "Strict", path: "/", secure: listener.secure } as const;

  const signInOf = (context: Context<Env>): SignIn | undefined => {
    const id = getCookie(context, cookie);
    const found = id === undefined ? undefined : signIns.find(id, now());
    if (found) context.env.known();
    return found;
  };
  const clientOf = (context: Context<Env>): Client | undefined => {
    const signIn = signInOf(context);
    if (signIn) return { role: signIn.role, signIn };
    const direct = FORWARDED.every((name) => context.req.header(name) === undefined);
    return listener.secure || !direct ? undefined : { role: "viewer", signIn: undefined };
  };
  const client = (context: Context<Env>): Client => {
    const found = clientOf(context);
    if (!found) throw signInNeeded();
    return found;
  };
  /** Sets the cookie of a new sign-in; the previous one of the same browser ends. */
  const signInAs = (context: Context<Env>, role: Role, how: string): void => {
    const before = getCookie(context, cookie);
    if (before !== undefined) signIns.remove(before);
    setCookie(context, cookie, signIns.add(role, now()), {
      ...cookieOptions,
      maxAge: SIGN_IN_LIFETIME / 1000,
    });
    parts.log("info", `console: ${context.env.remote} signed in as ${role} (${how})`);
  };
  /** @throws OdooPgError too_many_tries */
  const isRightPassword = async (context: Context<Env>, roles: readonly Role[], given: string) => {
    const { remote } = context.env;
    const wait = parts.tries.wait(remote, now());
    if (wait > 0) {
      context.header("retry-after", String(wait));
      throw new OdooPgError("too_many_tries", {
        message: `Too many wrong passwords. Try again in ${wait} s.`,
        next: nextStep`For a link that signs in at once: ${odooPg("console")}`,
      });
    }
    const passwords = await parts.passwords();
    if (roles.some((role) => isPasswordOf(role, given, passwords))) return true;
    parts.tries.wrong(remote, now());
    parts.log("warn", `console: a wrong password from ${remote}`);
    return false;
  };

  app.onError((error, context) => {
    if (!(error instanceof OdooPgError)) parts.log("error", `console: ${error.stack ?? error.message}`);
    return errorAnswer(context, error, parts.source.configFile());
  });
  app.notFound((context) =>
    errorAnswer(
      context,
      new OdooPgError("usage", { message: `There is no ${context.req.path} here.` }),
      parts.source.configFile(),
      404,
    ),
  );
  app.use(async (context, next) => {
    secureHeaders(context, page.policy);
    const { req } = context;
    const host = req.header("host");
    if (!mayBearHost(listener, host, certified))
      throw notAllowed(
        "This address is not one of the console's.",
        nextStep`For the right one: ${odooPg("console")}`,
      );
    const provenance = {
      method: req.method,
      host,
      origin: req.header("origin"),
      site: req.header("sec-fetch-site"),
      mode: req.header("sec-fetch-mode"),
    };
    if (!isFromHere(listener, provenance)) throw notAllowed("Another site sent this request.");
    await next();
  });
  const orderLimit = bodyLimit({
    maxSize: BODY_LIMIT,
    onError: () => {
      throw new OdooPgError("usage", { message: `More than ${BODY_LIMIT} bytes.` });
    },
  });
  app.use(async (context, next) =>
    context.req.path.startsWith(`${UPLOADS}/`)
      ? await pieceLimit(context, next)
      : await orderLimit(context, next),
  );

  for (const { path, type, body, immutable } of page.files) {
    app.get(path, (context) => {
      // The page asks for what follows: only the page redirects to the sign-in.
      if (!immutable && !clientOf(context)) return context.redirect("/sign-in", 303);
      context.header("content-type", type);
      if (immutable) context.header("cache-control", "public, max-age=31536000, immutable");
      return context.body(body);
    });
  }

  const form = (context: Context<Env>, problem: string | undefined, status: 200 | 401 | 429) => {
    context.header("content-security-policy", SIGN_IN_POLICY);
    return context.html(signInPage(problem, parts.source.called), status);
  };
  app.get("/sign-in", (context) => {
    const key = context.req.query("key");
    if (key === undefined) return form(context, undefined, 200);
    if (!parts.keys.take(key, now()))
      return form(context, "This link was used already, or is older than 10 minutes.", 401);
    signInAs(context, "operator", "by a link");
    return context.redirect("/", 303);
  });
  app.post("/sign-in", async (context) => {
    const given = signInForm.safeParse(await context.req.parseBody());
    if (!given.success) return form(context, "A role and its password are needed.", 401);
    const { role, password } = given.data;
    try {
      if (!(await isRightPassword(context, [role], password)))
        return form(context, "This is not the password of that role.", 401);
    } catch (error) {
      if (error instanceof OdooPgError && error.code === "too_many_tries")
        return form(context, error.message, 429);
      throw error;
    }
    signInAs(context, role, "by password");
    return context.redirect("/", 303);
  });
  app.post("/sign-out", (context) => {
    const id = getCookie(context, cookie);
    if (id !== undefined) signIns.remove(id);
    deleteCookie(context, cookie, cookieOptions);
    return context.redirect(listener.secure ? "/sign-in" : "/", 303);
  });

  const { metrics } = parts;
  if (metrics) {
    app.get("/metrics", async (context) => {
      if (!clientOf(context)) {
        const given = basicPassword(context.req.header("authorization"));
        // The role is not asked for: any user name will do.
        if (given === undefined || !(await isRightPassword(context, ["viewer", "operator"], given))) {
          context.header("www-authenticate", 'Basic realm="odoo-pg"');
          throw signInNeeded();
        }
      }
      return context.text(await metrics(), 200, {
        "content-type": "text/plain; version=0.0.4; charset=utf-8",
      });
    });
  }

  const { board } = parts;
  /** An operator who has signed in. @throws OdooPgError sign_in_needed, not_allowed */
  const operatorWhoLooks = (context: Context<Env>): SignIn => {
    const { role, signIn } = client(context);
    if (!signIn)
      throw notAllowed(
        "Only an operator who has signed in may do this.",
        nextStep`For a link that signs in: ${odooPg("console")}`,
      );
    if (role !== "operator") throw notAllowed("A viewer may look, and do nothing.", "Sign in as operator.");
    return signIn;
  };
  /** @throws OdooPgError sign_in_needed, not_allowed */
  const operatorWith = (context: Context<Env>, given: string): Role => {
    const { role, token } = operatorWhoLooks(context);
    if (!sameSecret(given, token))
      throw notAllowed("The page's token is missing or old.", "Load the page again.");
    if (parts.readOnly)
      throw notAllowed(
        "The configuration allows no changes from here.",
        nextStep`See console.read_only: ${odooPg("config", "show")}`,
      );
    return role;
  };
  const operator = (context: Context<Env>): Role =>
    operatorWith(context, context.req.header(TOKEN_HEADER) ?? "");

  if (board) {
    const tokenOf = ({ role, signIn }: Client): string | undefined =>
      role === "operator" && !parts.readOnly ? signIn?.token : undefined;
    app.get("/", async (context) => {
      const visitor = clientOf(context);
      if (!visitor) return context.redirect("/sign-in", 303);
      return context.html(await board.page({ token: tokenOf(visitor), asked: context.req.query() }));
    });
    app.post("/order", async (context) => {
      try {
        const form = orderForm.safeParse(await context.req.parseBody());
        if (!form.success) throw new OdooPgError("usage", { message: "That is not a form of the page." });
        const by = operatorWith(context, form.data["token"] ?? "");
        await board.order(form.data, `${by} (${context.env.remote})`);
        return context.redirect("/", 303);
      } catch (error) {
        // Whoever sent a form reads a page, and gets the answer there.
        const visitor = clientOf(context);
        if (!(error instanceof OdooPgError) || !wantsPage(context)) throw error;
        if (!visitor) return context.redirect("/sign-in", 303);
        return context.html(
          await board.page({ token: tokenOf(visitor), asked: {}, refused: error }),
          statusOf(error),
        );
      }
    });
    return app;
  }

  app.get("/api/visitor", (context) => {
    const { role, signIn } = client(context);
    const principal: Principal = {
      role,
      signed_in: signIn !== undefined,
      read_only: parts.readOnly,
      token: signIn?.token ?? "",
    };
    return context.json(principal);
  });
  app.get("/api/document", async (context) => {
    const isOperator = client(context).role === "operator";
    return context.json(forPrincipal(await feed.document(), isOperator));
  });
  app.get("/api/samples", async (context) => {
    client(context);
    return context.json(await parts.source.samples());
  });
  app.get("/api/stream", (context) => {
    const { role, signIn } = client(context);
    const most = signIn ? STREAMS : STREAMS_OF_STRANGERS;
    if (feed.followers >= most) {
      throw new OdooPgError("refused", {
        message: `${most} pages are open already.`,
        next: "Close one of them.",
      });
    }
    const mayGoOn = (): boolean => signIn === undefined || signInOf(context) !== undefined;
    context.header("content-type", "text/event-stream");
    return context.body(eventStream(feed, { isOperator: role === "operator", mayGoOn }));
  });

  app.get("/api/read", async (context) => {
    operatorWhoLooks(context);
    const reading = readingSchema.safeParse(context.req.query());
    if (!reading.success)
      throw new OdooPgError("usage", { message: "There is nothing of that name to read." });
    return context.json(await parts.readings.read(reading.data));
  });

  app.get("/api/backups/:id/odoo.zip", async (context) => {
    operatorWhoLooks(context);
    const id = context.req.param("id");
    const zip = await parts.downloads.zip(id);
    parts.log("info", `console: an operator (${context.env.remote}) downloads ${id}`);
    context.header("content-type", "application/zip");
    // An id holds letters, digits and what needs no quotes.
    context.header("content-disposition", `attachment; filename="${id}.zip"`);
    return context.body(zip);
  });

  app.post("/api/plan", async (context) => {
    const by = operator(context);
    return context.json(jobs.plan(await parsed(context, actionSchema), by), 202);
  });
  app.post("/api/act", async (context) => {
    const by = operator(context);
    const { action, confirm } = await parsed(context, orderSchema);
    refuseUnconfirmed(action, confirm);
    const job = jobs.act(action, by);
    parts.log("info", `console: ${by} (${context.env.remote}) starts: ${job.command}`);
    return context.json(job, 202);
  });

  app.post("/api/secret", async (context) => {
    operator(context);
    await parts.secrets.take((await parsed(context, givenSchema)).secret);
    return context.body(null, 204);
  });

  addUploads(app, parts.uploads, operator);

  return app;
}

/** Whether the client says that it reads pages, as browsers do. */
function wantsPage(context: Context): boolean {
  return /\btext\/html\b/.test(context.req.header("accept") ?? "");
}

function secureHeaders(context: Context, policy: string): void {
  const headers = {
    "content-security-policy": policy,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    // Not no-referrer: a form would then be sent with "Origin: null".
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
    // No Strict-Transport-Security: it would hold for every port of this host, such as Odoo's.
  };
  for (const [name, value] of Object.entries(headers)) context.header(name, value);
}

function refuseUnconfirmed(action: Action, confirm: string | undefined): void {
  const name = confirmationOf(action);
  if (name === undefined || name === confirm) return;
  throw new OdooPgError("confirmation_missing", {
    message: `This needs the name typed: ${JSON.stringify(name)}.`,
    safe: "Nothing was changed.",
  });
}

function basicPassword(header: string | undefined): string | undefined {
  const encoded = /^Basic ([A-Za-z0-9+/=]{1,2000})$/i.exec(header ?? "")?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  return colon === -1 || colon === text.length - 1 ? undefined : text.slice(colon + 1);
}
