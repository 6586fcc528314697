import { createContext, type JSX } from "preact";
import { useContext, useState } from "preact/hooks";
import { Fold } from "./fold.tsx";
import { printNext, withConfig, type Command, type NextStep } from "../../../next-step.ts";

/** How to type commands so that they reach the cluster that the page shows. */
export interface Typing {
  /** How odoo-pg is typed on its host. */
  readonly called: string;
  /** The configuration file that they must name; null where it is found without. */
  readonly configFile: string | null;
}

export const TypedThere = createContext<Typing>({ called: "odoo-pg", configFile: null });

/** What to do, with each command on its own and ready to be copied. */
export function Next({ step }: { readonly step: NextStep }): JSX.Element {
  return (
    <p class="next">
      <Fold lines={3}>
        <span class="label">Next:</span>{" "}
        {step.map((part, index) => (typeof part === "string" ? part : <Typed key={index} command={part} />))}
      </Fold>
    </p>
  );
}

/** A command within a sentence, as it is typed. */
export function InWords({ command }: { readonly command: Command }): JSX.Element {
  return <code>{useTyped(command)}</code>;
}

function useTyped(command: Command): string {
  const { called, configFile } = useContext(TypedThere);
  return printNext(withConfig([command], configFile ?? undefined), called);
}

function Typed({ command }: { readonly command: Command }): JSX.Element {
  const text = useTyped(command);
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
