import type { Context, Hono } from "hono";
import * as z from "zod";
import { OdooPgError } from "../../errors.ts";
import { statusOf } from "../answers.ts";
import type { Client, Clients } from "../access/clients.ts";
import type { Env } from "../console-parts.ts";
import type { Board } from "../source.ts";

/** The fields of a board's form. */
const orderForm = z.record(z.string().max(40), z.string().max(200));

/** The page of several hosts, which is made here and whose forms give orders. */
export function addBoard(app: Hono<Env>, board: Board, clients: Clients, readOnly: boolean): void {
  const tokenOf = ({ role, signIn }: Client): string | undefined =>
    role === "operator" && !readOnly ? signIn?.token : undefined;
  app.get("/", async (context) => {
    const visitor = clients.find(context);
    if (!visitor) return context.redirect("/sign-in", 303);
    return context.html(await board.page({ token: tokenOf(visitor), asked: context.req.query() }));
  });
  app.post("/order", async (context) => {
    try {
      const form = orderForm.safeParse(await context.req.parseBody());
      if (!form.success) throw new OdooPgError("usage", { message: "That is not a form of the page." });
      const by = clients.operator(context, form.data["token"] ?? "");
      await board.order(form.data, `${by} (${context.env.remote})`);
      return context.redirect("/", 303);
    } catch (error) {
      // The answer to a form is a page, not JSON.
      const visitor = clients.find(context);
      if (!(error instanceof OdooPgError) || !wantsPage(context)) throw error;
      if (!visitor) return context.redirect("/sign-in", 303);
      return context.html(
        await board.page({ token: tokenOf(visitor), asked: {}, refused: error }),
        statusOf(error),
      );
    }
  });
}

/** Whether the client says that it reads pages, as browsers do. */
function wantsPage(context: Context): boolean {
  return /\btext\/html\b/.test(context.req.header("accept") ?? "");
}
