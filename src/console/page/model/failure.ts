import { nextStep, odooPg, type NextStep } from "../../../next-step.ts";

/** An error as it is shown: what happened, what is safe, what to do next. */
export interface Failure {
  readonly code: string;
  readonly message: string;
  readonly safe: string | undefined;
  readonly next: NextStep | undefined;
}

/** The form in which the server reports errors; anything else is shown as it is. */
export function failureOf(answer: unknown, status: number): Failure {
  const error = isRecord(answer) && isRecord(answer["error"]) ? answer["error"] : {};
  const text = (name: string): string | undefined =>
    typeof error[name] === "string" && error[name] !== "" ? error[name] : undefined;
  return {
    code: text("code") ?? "unexpected_answer",
    message: text("message") ?? `The console answered with status ${status}.`,
    safe: text("safe"),
    next: isStep(error["next_step"]) ? error["next_step"] : undefined,
  };
}

/** When nothing answered at all. */
export function silence(started: boolean): Failure {
  return {
    code: "no_answer",
    message: "The console does not answer.",
    safe: started
      ? "It is not known whether the step began. If it did, it is listed below as soon as the page is live again."
      : "Nothing was started.",
    next: nextStep`On the server: ${odooPg("status")}`,
  };
}

function isStep(value: unknown): value is NextStep {
  return (
    Array.isArray(value) &&
    value.every(
      (part: unknown) =>
        typeof part === "string" ||
        (isRecord(part) && typeof part["program"] === "string" && isTexts(part["arguments"])),
    )
  );
}

function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((text: unknown) => typeof text === "string");
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
