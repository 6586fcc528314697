import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { printCommand, type Command, type NextStep } from "../../../next-step.ts";

/** What to do, each of its commands apart and ready to be copied. */
export function Next({ step }: { readonly step: NextStep }): JSX.Element {
  return (
    <p class="next">
      <span class="label">Next:</span>{" "}
      {step.map((part, index) => (typeof part === "string" ? part : <Typed key={index} command={part} />))}
    </p>
  );
}

function Typed({ command }: { readonly command: Command }): JSX.Element {
  const text = printCommand(command);
  return (
    <>
      <code>{text}</code> <Copy text={text} />
    </>
  );
}

function Copy({ text }: { readonly text: string }): JSX.Element | null {
  const [copied, setCopied] = useState(false);
  // Browsers give a page the clipboard on loopback and over https only.
  if (!("clipboard" in navigator)) return null;
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    setTimeout(() => setCopied(false), 2000);
  };
  return (
    <button type="button" class="link" onClick={() => void copy().catch(() => setCopied(false))}>
      {copied ? "copied" : "copy"}
      <span class="unseen"> the command</span>
    </button>
  );
}
