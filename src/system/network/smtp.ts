import MailComposer from "nodemailer/lib/mail-composer";
import { messageOf } from "../../errors.ts";
import SMTPConnection from "nodemailer/lib/smtp-connection";

export interface MailServer {
  readonly host: string;
  readonly port: number;
  /** TLS before the first word, TLS from STARTTLS on (refused without), or none. */
  readonly security: "tls" | "starttls" | "none";
  readonly login: { readonly user: string; readonly password: string } | undefined;
  /** Authority that has signed the server's certificate (PEM); those of the system when undefined. */
  readonly ca: string | undefined;
}

/** A mail of plain text. Its addresses are ASCII. */
export interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  readonly subject: string;
  readonly text: string;
  /** With its angle brackets. */
  readonly messageId: string;
  readonly date: Date;
}

/**
 * A mail as it goes over the wire.
 * Source of Auto-Submitted: RFC 3834; no server and no person answers such a mail automatically.
 */
export async function composed({ from, to, subject, text, messageId, date }: Mail): Promise<Buffer> {
  const headers = { "Auto-Submitted": "auto-generated" };
  return await new MailComposer({
    from,
    to: [...to],
    subject,
    // In base64 nothing else makes the ends of lines right (RFC 2045, 6.8).
    text: `${text.replaceAll("\n", "\r\n")}\r\n`,
    messageId,
    date,
    headers,
    textEncoding: "base64",
    newline: "\r\n",
  })
    .compile()
    .build();
}

/**
 * Sends one mail. The password is in no error.
 * @param timeout milliseconds for all of it
 * @returns addresses that the server refused, while it took others
 * @throws Error with the words of the server, or why it cannot be reached
 */
export async function sendMail(server: MailServer, mail: Mail, timeout: number): Promise<readonly string[]> {
  const { host, port, security, login, ca } = server;
  const message = await composed(mail);
  const connection = new SMTPConnection({
    host,
    port,
    secure: security === "tls",
    requireTLS: security === "starttls",
    ignoreTLS: security === "none",
    connectionTimeout: timeout,
    greetingTimeout: timeout,
    socketTimeout: timeout,
    dnsTimeout: timeout,
    tls: ca === undefined ? {} : { ca },
  });
  try {
    return await new Promise<readonly string[]>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`${host}:${port} did not take the mail within ${timeout / 1000} s`)),
        timeout,
      );
      const fail = (error: unknown): void => {
        clearTimeout(timer);
        const text = messageOf(error);
        reject(new Error(`${host}:${port}: ${login ? text.replaceAll(login.password, "…") : text}`));
      };
      const send = (): void =>
        connection.send({ from: mail.from, to: [...mail.to] }, message, (error, info) => {
          if (error) fail(error);
          else {
            clearTimeout(timer);
            connection.quit();
            resolve(info.rejected);
          }
        });
      connection.once("error", fail);
      connection.once("end", () => fail(new Error("the server closed the connection")));
      connection.connect((error) => {
        if (error) fail(error);
        else if (!login) send();
        else
          connection.login({ user: login.user, pass: login.password }, (refused) => {
            if (refused) fail(refused);
            else send();
          });
      });
    });
  } catch (error) {
    connection.close();
    throw error;
  }
}
