import http from "node:http";
import https from "node:https";

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON. */
  readonly json: () => unknown;
}

export interface Asked {
  readonly method?: "GET" | "POST" | "DELETE";
  /** Over those of a browser. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Somebody at a console: keeps cookies, and sends what a browser sends. */
export class Principal {
  readonly #url: URL;
  readonly #ca: string | undefined;
  #cookie: string | undefined;

  constructor(url: string, ca?: string) {
    this.#url = new URL(url);
    this.#ca = ca;
  }

  async ask(path: string, asked: Asked = {}): Promise<Answer> {
    const method = asked.method ?? "GET";
    const response = await this.#send(path, method, asked);
    response.setEncoding("utf8");
    let text = "";
    for await (const chunk of response) text += String(chunk);
    for (const cookie of response.headers["set-cookie"] ?? []) this.#cookie = cookie.split(";")[0];
    return {
      status: response.statusCode ?? 0,
      headers: response.headers,
      text,
      json: () => JSON.parse(text),
    };
  }

  async post(path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return await this.ask(path, {
      method: "POST",
      headers: { "content-type": "application/json", ...headers },
      body: JSON.stringify(body),
    });
  }

  async signIn(role: string, password: string): Promise<Answer> {
    return await this.ask("/sign-in", {
      method: "POST",
      headers: { "content-type": "application/x-www-form-urlencoded" },
      body: new URLSearchParams({ role, password }).toString(),
    });
  }

  /** Opens the stream of events; the answer's body is to be read, or destroyed. */
  async open(path: string): Promise<http.IncomingMessage> {
    return await this.#send(path, "GET", {});
  }

  async #send(path: string, method: string, asked: Asked): Promise<http.IncomingMessage> {
    const { host, origin, hostname, port, protocol } = this.#url;
    return await new Promise((resolve, reject) => {
      const request = (protocol === "https:" ? https : http).request(
        {
          hostname: hostname.replace(/^\[|\]$/g, ""),
          port,
          path,
          method,
          agent: false,
          // Named, because otherwise it is taken from the Host header, which may be a foreign one.
          ...(protocol === "https:" ? { servername: "localhost" } : {}),
          ...(this.#ca === undefined ? {} : { ca: this.#ca }),
          headers: {
            host,
            ...(method === "POST" ? { origin } : {}),
            ...(this.#cookie === undefined ? {} : { cookie: this.#cookie }),
            ...(asked.body === undefined ? {} : { "content-length": String(Buffer.byteLength(asked.body)) }),
            ...asked.headers,
          },
        },
        resolve,
      );
      request.once("error", reject);
      request.end(asked.body);
    });
  }
}
