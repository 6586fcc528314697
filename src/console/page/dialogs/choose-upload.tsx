import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Action } from "../../../model/console-actions.ts";
import type { ConsoleDocument, JobProgress } from "../../../cluster/documents/console.ts";
import type { Failure } from "../model/failure.ts";
import { copyName, nameFromFile } from "../model/recovery.ts";
import { upload } from "../upload.ts";
import { FailureNote } from "../parts/failure-note.tsx";
import { Far } from "./far.tsx";
import { Form, NameField, NeutralizeTick } from "./form.tsx";

/**
 * A zip of Odoo from this computer: it is uploaded first, and restored after its plan was seen. Leaving the dialog
 * stops the upload.
 */
export function ChooseUpload(props: {
  readonly document: ConsoleDocument;
  readonly token: string;
  readonly chosen: (action: Action) => void;
  readonly close: () => void;
}): JSX.Element {
  const { document, token, chosen, close } = props;
  const [file, setFile] = useState<File>();
  const [typed, setTyped] = useState<string>();
  const [neutralize, setNeutralize] = useState(true);
  const [progress, setProgress] = useState<JobProgress>();
  const [failure, setFailure] = useState<Failure>();
  const left = useRef(new AbortController());
  useEffect(() => () => left.current.abort(), []);
  const taken = document.databases.map(({ name }) => name);
  const name = typed ?? (file ? copyName(nameFromFile(file.name), taken, "restored") : "");

  const send = async (): Promise<void> => {
    if (!file) return;
    setFailure(undefined);
    const begun = Date.now();
    const far = (done: number, total: number): void => {
      const seconds = (Date.now() - begun) / 1000;
      const left_seconds = done > 0 && seconds > 1 ? Math.ceil((seconds * (total - done)) / done) : null;
      setProgress({ done_bytes: done, total_bytes: total, left_seconds });
    };
    far(0, file.size);
    const { id, failure: failed } = await upload(
      file,
      token,
      ({ done_bytes, total_bytes }) => far(done_bytes, total_bytes),
      left.current.signal,
    );
    if (left.current.signal.aborted) return;
    setProgress(undefined);
    if (failed) setFailure(failed);
    else chosen({ kind: "restore_upload", upload: id, as: name.trim(), neutralize });
  };
  return (
    <Form
      submit={() => void send()}
      unready={file === undefined || file.size === 0 || progress !== undefined}
      button="Upload, and show the plan"
      close={close}
    >
      <label>
        A backup of Odoo (zip) on this computer
        <input
          type="file"
          required
          accept=".zip,application/zip"
          disabled={progress !== undefined}
          onChange={({ currentTarget }) => setFile(currentTarget.files?.[0])}
        />
      </label>
      <NameField value={name} change={setTyped} label="Name of the new database" />
      <NeutralizeTick ticked={neutralize} change={setNeutralize} />
      <p role="status">{progress ? "Uploading. Closing this stops it." : ""}</p>
      {progress && <Far progress={progress} />}
      {failure && <FailureNote failure={failure} />}
    </Form>
  );
}
