import type { Context, Hono } from "hono";
import * as z from "zod";
import { OdooPgError } from "../../errors.ts";
import { now } from "../../system/clock.ts";
import type { Clients } from "../access/clients.ts";
import type { ConsoleParts, Env } from "../console-parts.ts";
import { SIGN_IN_POLICY, signInPage } from "../sign-in-page.ts";

const signInForm = z.object({ role: z.enum(["viewer", "operator"]), password: z.string().min(1).max(1000) });

/** The sign-in by a link or a password, and its end. @param secure whether everything needs a sign-in */
export function addSignIn(
  app: Hono<Env>,
  { source, keys }: ConsoleParts,
  clients: Clients,
  secure: boolean,
): void {
  const form = (context: Context<Env>, problem: string | undefined, status: 200 | 401 | 429) => {
    context.header("content-security-policy", SIGN_IN_POLICY);
    return context.html(signInPage(problem, source.called), status);
  };
  app.get("/sign-in", (context) => {
    const key = context.req.query("key");
    if (key === undefined) return form(context, undefined, 200);
    if (!keys.take(key, now()))
      return form(context, "This link was used already, or is older than 10 minutes.", 401);
    clients.signIn(context, "operator", "by a link");
    return context.redirect("/", 303);
  });
  app.post("/sign-in", async (context) => {
    const given = signInForm.safeParse(await context.req.parseBody());
    if (!given.success) return form(context, "A role and its password are needed.", 401);
    const { role, password } = given.data;
    try {
      if (!(await clients.isRightPassword(context, [role], password)))
        return form(context, "This is not the password of that role.", 401);
    } catch (error) {
      if (error instanceof OdooPgError && error.code === "too_many_tries")
        return form(context, error.message, 429);
      throw error;
    }
    clients.signIn(context, role, "by password");
    return context.redirect("/", 303);
  });
  app.post("/sign-out", (context) => {
    clients.signOut(context);
    return context.redirect(secure ? "/sign-in" : "/", 303);
  });
}
