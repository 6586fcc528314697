import type { ConsoleDocument, Job } from "../cluster/documents/console.ts";

/**
 * A document as a principal may see it. Statements and the lines of commands may contain data: they are for operators
 * who have signed in.
 */
export function forPrincipal(document: ConsoleDocument, isOperator: boolean): ConsoleDocument {
  if (isOperator) return document;
  const { activity, jobs } = document;
  return {
    ...document,
    activity: {
      ...activity,
      long_transactions: activity.long_transactions.map((seen) => ({ ...seen, statement: null })),
      slowest_statements: activity.slowest_statements?.map((seen) => ({ ...seen, statement: null })) ?? null,
    },
    jobs: jobs.map((job): Job => ({ ...job, lines: [] })),
  };
}
