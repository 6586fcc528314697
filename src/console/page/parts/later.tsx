import type { ComponentType, JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { silence } from "../model/failure.ts";
import { FailureNote } from "./failure-note.tsx";

/** A part of the page whose script is loaded when it is shown. */
export function Later<P extends object>(props: {
  readonly load: () => Promise<ComponentType<P>>;
  readonly given: P;
}): JSX.Element {
  const { load, given } = props;
  const [loaded, setLoaded] = useState<{ readonly part: ComponentType<P> }>();
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    let wanted = true;
    void load().then(
      (part) => wanted && setLoaded({ part }),
      () => wanted && setFailed(true),
    );
    return () => {
      wanted = false;
    };
  }, [load]);
  if (loaded) {
    const Part = loaded.part;
    return <Part {...given} />;
  }
  if (failed) return <FailureNote failure={silence(false)} />;
  return (
    <p role="status" class="quiet loading">
      Loading …
    </p>
  );
}
