import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { commandIn } from "../model/show.ts";

/** What to do, its command apart and ready to be copied. */
export function Next({ text }: { readonly text: string }): JSX.Element {
  const { words, command } = commandIn(text);
  return (
    <p class="next">
      <span class="label">Next:</span> {words}
      {command !== undefined && (
        <>
          {" "}
          <code>{command}</code> <Copy text={command} />
        </>
      )}
    </p>
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
