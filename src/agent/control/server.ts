import { Hono } from "hono";
import { stream } from "hono/streaming";
import * as z from "zod";
import { toOdooPgError } from "../../errors.ts";
import { progressTo, type AgentEvent, type Progress } from "../../progress.ts";
import {
  applyRequestSchema,
  operationSchema,
  type AgentReport,
  type ApplyRequest,
  type Outcome,
} from "../../cluster/documents/agent-report.ts";

/** What the control socket may ask of the agent. */
export interface Orders {
  readonly report: () => Promise<AgentReport>;
  /** What `observationsSchema` reads. */
  readonly observations: () => Promise<object>;
  readonly apply: (request: ApplyRequest, progress: Progress, by: string) => Promise<void>;
  readonly operate: (
    request: z.output<typeof operationSchema>,
    progress: Progress,
    by: string,
  ) => Promise<Outcome>;
  readonly down: (progress: Progress, by: string) => Promise<void>;
  /** A link that signs in to the console once. @throws OdooPgError not_running */
  readonly consoleLink: () => { readonly link: string; readonly until: string };
  /** Ends the agent alone; the servers go on. */
  readonly stop: () => void;
}

/** The answers on the control socket. An order continues when the one who gave it goes away. */
export function controlAnswers(agent: Orders): Hono {
  const app = new Hono();
  app.get("/report", async (context) => context.json(await agent.report()));
  app.get("/observations", async (context) => context.json(await agent.observations()));
  app.post("/apply", async (context) => {
    const body: unknown = await context.req.json();
    const request = applyRequestSchema.parse(body);
    return stream(
      context,
      told(async (progress) => await agent.apply(request, progress, askedBy(body))),
    );
  });
  app.post("/operate", async (context) => {
    const body: unknown = await context.req.json();
    const request = operationSchema.parse(body);
    return stream(
      context,
      told(async (progress) => await agent.operate(request, progress, askedBy(body))),
    );
  });
  app.post("/down", async (context) => {
    const body: unknown = await context.req.json().catch(() => undefined);
    return stream(
      context,
      told(async (progress) => await agent.down(progress, askedBy(body))),
    );
  });
  app.post("/console-key", (context) => {
    try {
      return context.json(agent.consoleLink());
    } catch (error) {
      return context.json({ error: toOdooPgError(error).toJSON() });
    }
  });
  app.post("/leave", (context) => {
    agent.stop();
    return context.text("leaving\n");
  });
  return app;
}

const askedBySchema = z.object({ by: z.string() });

/** Who gives an order, as the command says: a note for people, that nothing is decided by. */
function askedBy(body: unknown): string {
  return askedBySchema.safeParse(body).data?.by ?? "?";
}

/** Runs an order and reports on it, one JSON object per line. */
function told(
  act: (progress: Progress) => Promise<unknown>,
): (output: { write: (text: string) => Promise<unknown> }) => Promise<void> {
  return async (output) => {
    const emit = (event: AgentEvent): void => {
      void output.write(`${JSON.stringify(event)}\n`).catch(() => {});
    };
    try {
      const result = (await act(progressTo(emit))) ?? null;
      await output.write(`${JSON.stringify({ kind: "done", result })}\n`);
    } catch (error) {
      const explained = toOdooPgError(error);
      await output.write(`${JSON.stringify({ kind: "error", error: explained.toJSON() })}\n`);
    }
  };
}
