import { Hono, type Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import { OdooPgError } from "../errors.ts";
import { nextStep, odooPg } from "../next-step.ts";
import { Clients } from "./access/clients.ts";
import { isFromHere, mayBearHost, type Listener } from "./access/listeners.ts";
import { errorAnswer, notAllowed } from "./answers.ts";
import type { ConsoleParts, Env } from "./console-parts.ts";
import { addBoard } from "./routes/board.ts";
import { addMetrics } from "./routes/metrics.ts";
import { addOrders } from "./routes/orders.ts";
import { addReading } from "./routes/reading.ts";
import { addSignIn } from "./routes/sign-in.ts";
import { addUploads, pieceLimit, UPLOADS } from "./routes/uploads.ts";

/** Maximum bytes of a request's body. */
const BODY_LIMIT = 16 * 1024;

/**
 * The console at one address. Who may do what:
 * - view: on loopback everyone, elsewhere who has signed in
 * - statements, lines of commands, the parts behind the first page, orders: operators who have signed in
 * @param certified whether the listener's certificate is good for a name
 */
export function consoleApp(
  parts: ConsoleParts,
  listener: Listener,
  certified: (name: string) => boolean,
): Hono<Env> {
  const app = new Hono<Env>();
  const clients = new Clients(parts, listener);
  reportErrors(app, parts);
  guard(app, parts, listener, certified);
  addPage(app, parts, clients);
  addSignIn(app, parts, clients, listener.secure);
  if (parts.metrics) addMetrics(app, parts.metrics, clients);
  if (parts.board) {
    addBoard(app, parts.board, clients, parts.readOnly);
    return app;
  }
  addReading(app, parts, clients);
  addOrders(app, parts, clients);
  addUploads(app, parts.uploads, clients);
  return app;
}

function reportErrors(app: Hono<Env>, { source, log }: ConsoleParts): void {
  app.onError((error, context) => {
    if (!(error instanceof OdooPgError)) log("error", `console: ${error.stack ?? error.message}`);
    return errorAnswer(context, error, source.configFile());
  });
  app.notFound((context) =>
    errorAnswer(
      context,
      new OdooPgError("usage", { message: `There is no ${context.req.path} here.` }),
      source.configFile(),
      404,
    ),
  );
}

/** Before any route: headers of safety, the Host header, requests of other sites, and the size of bodies. */
function guard(
  app: Hono<Env>,
  { page }: ConsoleParts,
  listener: Listener,
  certified: (name: string) => boolean,
): void {
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
}

/** The files of the page. */
function addPage(app: Hono<Env>, { page }: ConsoleParts, clients: Clients): void {
  for (const { path, type, body, immutable } of page.files) {
    app.get(path, (context) => {
      // The page asks for what follows: only the page redirects to the sign-in.
      if (!immutable && !clients.find(context)) return context.redirect("/sign-in", 303);
      context.header("content-type", type);
      if (immutable) context.header("cache-control", "public, max-age=31536000, immutable");
      return context.body(body);
    });
  }
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
