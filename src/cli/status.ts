// Placeholder until the real one is written.
export async function status(_context: unknown, _options: unknown, output: { out: (text: string) => void }): Promise<0> {
  output.out("(status)");
  return await Promise.resolve(0 as const);
}
