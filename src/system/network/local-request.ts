import net from "node:net";
import type * as z from "zod";
import { parseJson } from "../files/json-file.ts";

/**
 * Gets a JSON document from a Unix socket. So much of HTTP is a few lines; node:http would cost a command that only asks
 * 20 ms.
 * Source: RFC 9112, sections 2 and 9.6: with "Connection: close" the answer ends where the connection does.
 * @throws Error with `code` ENOENT or ECONNREFUSED when nothing listens, or when no whole answer with status 200 came
 *   within `timeout` milliseconds
 */
export async function getJson<T>(
  socketPath: string,
  target: string,
  schema: z.ZodType<T>,
  timeout: number,
): Promise<T> {
  const answer = await new Promise<string>((resolve, reject) => {
    let text = "";
    const socket = net.createConnection({ path: socketPath });
    const timer = setTimeout(
      () => socket.destroy(new Error(`no answer from ${socketPath} within ${timeout} ms`)),
      timeout,
    );
    socket.setEncoding("utf8");
    socket.write(`GET ${target} HTTP/1.0\r\nHost: odoo-pg\r\nConnection: close\r\n\r\n`);
    socket.on("data", (chunk: string) => {
      text += chunk;
    });
    socket.once("error", reject);
    socket.once("end", () => resolve(text));
    socket.once("close", () => clearTimeout(timer));
  });
  const [head = "", ...body] = answer.split("\r\n\r\n");
  if (!/^HTTP\/1\.\d 200 /.test(head)) throw new Error(`${socketPath}: ${head.split("\r\n")[0] ?? ""}`);
  const parsed = parseJson(body.join("\r\n\r\n"), schema);
  if (!parsed.ok) throw new Error(`${socketPath}: ${parsed.problem}`);
  return parsed.value;
}
