import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import tls from "node:tls";
import { freePort } from "./ports.ts";
import { atEnd } from "./scope.ts";
import { temporaryFolder } from "./temporary-folder.ts";

export interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  readonly encrypted: boolean;
  /** Who logged in; undefined without a login. */
  readonly user: string | undefined;
  /** Headers as they came, unfolded, by their names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** The body, decoded. */
  readonly text: string;
}

export interface SmtpServer {
  readonly port: number;
  readonly mails: readonly ReceivedMail[];
  /** The authority of its certificate (PEM). */
  readonly caFile: string;
}

interface Ways {
  /** TLS: from the start, when the client asks for it, or never. */
  readonly security: "tls" | "starttls" | "none";
  /** Who has to log in, and by which password. */
  readonly login?: { readonly user: string; readonly password: string };
  /** Receivers that it does not take. */
  readonly refuses?: readonly string[];
}

/** A small mail server on loopback (RFC 5321, 3207, 4954) until the present test ends. */
export async function smtpServer(ways: Ways): Promise<SmtpServer> {
  const folder = temporaryFolder();
  const caFile = join(folder, "mail.crt");
  const keyFile = join(folder, "mail.key");
  execFileSync(
    "openssl",
    [
      ..."req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost".split(
        " ",
      ),
      "-addext",
      "subjectAltName=IP:127.0.0.1,DNS:localhost",
      "-keyout",
      keyFile,
      "-out",
      caFile,
    ],
    { stdio: "ignore" },
  );
  const secure = { cert: readFileSync(caFile), key: readFileSync(keyFile) };
  const mails: ReceivedMail[] = [];
  const sockets = new Set<net.Socket>();
  const talk = (socket: net.Socket): void => {
    new Conversation(socket, ways, ways.security === "tls", secure, mails).begin();
  };
  const server = ways.security === "tls" ? tls.createServer(secure, talk) : net.createServer(talk);
  server.on("connection", (socket: net.Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  atEnd(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port, mails, caFile };
}

/** What one client says and is answered. */
class Conversation {
  #socket: net.Socket;
  readonly #ways: Ways;
  #encrypted: boolean;
  readonly #secure: { cert: Buffer; key: Buffer };
  readonly #mails: ReceivedMail[];
  #rest = "";
  #user: string | undefined;
  #from = "";
  #to: string[] = [];
  #data: string[] | undefined;

  constructor(
    socket: net.Socket,
    ways: Ways,
    encrypted: boolean,
    secure: { cert: Buffer; key: Buffer },
    mails: ReceivedMail[],
  ) {
    this.#socket = socket;
    this.#ways = ways;
    this.#encrypted = encrypted;
    this.#secure = secure;
    this.#mails = mails;
  }

  begin(): void {
    this.#listen();
    this.#say("220 mail.example.com ESMTP");
  }

  #say(...lines: readonly string[]): void {
    this.#socket.write(lines.map((line) => `${line}\r\n`).join(""));
  }

  #listen(): void {
    this.#socket.setEncoding("utf8");
    this.#socket.on("error", () => {});
    this.#socket.on("data", (chunk: string) => {
      const lines = (this.#rest + chunk).split("\r\n");
      this.#rest = lines.pop() ?? "";
      for (const line of lines) this.#hear(line);
    });
  }

  #hear(line: string): void {
    if (this.#data) return this.#hearData(line, this.#data);
    const [verb = ""] = line.toUpperCase().split(/[ :]/);
    const { login, security, refuses = [] } = this.#ways;
    const address = /<([^>]*)>/.exec(line)?.[1] ?? "";
    if (verb === "EHLO" || verb === "HELO") {
      const offers = [
        ...(security === "starttls" && !this.#encrypted ? ["STARTTLS"] : []),
        ...(login ? ["AUTH PLAIN"] : []),
      ];
      this.#say("250-mail.example.com", ...offers.map((offer) => `250-${offer}`), "250 8BITMIME");
    } else if (verb === "STARTTLS" && security === "starttls") this.#encrypt();
    else if (verb === "AUTH") {
      const [, user = "", password = ""] = Buffer.from(line.split(" ")[2] ?? "", "base64")
        .toString()
        .split("\0");
      if (user === login?.user && password === login.password) {
        this.#user = user;
        this.#say("235 welcome");
      } else this.#say("535 5.7.8 authentication failed");
    } else if (verb === "MAIL" && login && this.#user === undefined) this.#say("530 5.7.0 log in first");
    else if (verb === "MAIL") {
      this.#from = address;
      this.#to = [];
      this.#say("250 ok");
    } else if (verb === "RCPT" && refuses.includes(address)) this.#say("550 5.1.1 no such user");
    else if (verb === "RCPT") {
      this.#to.push(address);
      this.#say("250 ok");
    } else if (verb === "DATA") {
      this.#data = [];
      this.#say("354 go on");
    } else if (verb === "QUIT") {
      this.#say("221 bye");
      this.#socket.end();
    } else this.#say("502 what?");
  }

  #hearData(line: string, data: string[]): void {
    if (line !== ".") {
      data.push(line.startsWith(".") ? line.slice(1) : line);
      return;
    }
    this.#data = undefined;
    const end = data.indexOf("");
    const unfolded = data.slice(0, end).join("\r\n").replaceAll("\r\n ", " ").split("\r\n");
    this.#mails.push({
      from: this.#from,
      to: this.#to,
      encrypted: this.#encrypted,
      user: this.#user,
      headers: new Map(
        unfolded.map((header) => {
          const [name = "", ...value] = header.split(": ");
          return [name.toLowerCase(), value.join(": ")];
        }),
      ),
      text: Buffer.from(data.slice(end + 1).join(""), "base64").toString(),
    });
    this.#say("250 taken");
  }

  #encrypt(): void {
    this.#say("220 go on");
    this.#socket.removeAllListeners("data");
    const encrypted = new tls.TLSSocket(this.#socket, { isServer: true, ...this.#secure });
    this.#socket = encrypted;
    this.#encrypted = true;
    this.#listen();
  }
}
