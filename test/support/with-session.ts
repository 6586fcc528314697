import { connect, type Credentials, type OrdinarySession } from "../../src/system/sql/sql.ts";

/** Opens a session, uses it, closes it. */
export async function withSession<T>(
  credentials: Credentials,
  use: (session: OrdinarySession) => Promise<T>,
): Promise<T> {
  const session = await connect(credentials);
  try {
    return await use(session);
  } finally {
    await session.close();
  }
}
