import type { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { OdooPgError } from "../../errors.ts";
import type { Clients } from "../access/clients.ts";
import { parsed } from "../answers.ts";
import type { Env } from "../console-parts.ts";
import { PIECE, uploadSchema, type Uploads } from "../uploads.ts";

/** Where a file is uploaded: only by operators, like orders. */
export const UPLOADS = "/api/uploads";

/** A piece may be larger than an order. */
export const pieceLimit = bodyLimit({
  maxSize: PIECE,
  onError: () => {
    throw new OdooPgError("usage", { message: `A piece has more than ${PIECE} bytes.` });
  },
});

/** Uploads of files to be restored, in pieces. */
export function addUploads(app: Hono<Env>, uploads: Uploads, clients: Clients): void {
  app.post(UPLOADS, async (context) => {
    clients.operator(context);
    const { bytes } = await parsed(context, uploadSchema);
    return context.json(await uploads.begin(bytes), 201);
  });
  app.post(`${UPLOADS}/:id`, async (context) => {
    clients.operator(context);
    const at = Number(context.req.query("at") ?? Number.NaN);
    if (!Number.isSafeInteger(at) || at < 0)
      throw new OdooPgError("usage", { message: "Say where the piece belongs." });
    const piece = new Uint8Array(await context.req.arrayBuffer());
    return context.json(await uploads.add(context.req.param("id"), at, piece));
  });
  app.delete(`${UPLOADS}/:id`, async (context) => {
    clients.operator(context);
    await uploads.cancel(context.req.param("id"));
    return context.body(null, 204);
  });
}
