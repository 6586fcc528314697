import { failureOf, silence, type Failure } from "./model/failure.ts";

/** Progress of an upload, as the server reports it. */
export interface UploadState {
  readonly id: string;
  readonly done_bytes: number;
  readonly total_bytes: number;
  readonly piece_bytes: number;
}

export type Uploaded =
  | { readonly id: string; readonly failure?: undefined }
  | { readonly failure: Failure; readonly id?: undefined };

/** Attempts to send a piece, before the upload is given up. */
const TRIES = 4;
const PAUSE = 2000;

/** Sends a file in pieces. @param far receives the progress; @param left ends it */
export async function upload(
  file: Blob,
  token: string,
  far: (state: UploadState) => void,
  left: AbortSignal,
): Promise<Uploaded> {
  const send = async (path: string, type: string, body: BodyInit): Promise<UploadState | Failure> => {
    const headers = { "content-type": type, "x-odoo-pg-token": token };
    const response = await fetch(path, { method: "POST", headers, body, signal: left });
    if (!response.ok) return failureOf(await response.json().catch(() => undefined), response.status);
    // What this server sends is made from the same types.
    const state: UploadState = await response.json();
    return state;
  };
  let begun: string | undefined;
  try {
    let state = await send("/api/uploads", "application/json", JSON.stringify({ bytes: file.size }));
    while (!isFailure(state) && state.done_bytes < file.size) {
      far(state);
      const { id, done_bytes: at, piece_bytes: size } = state;
      begun = id;
      const piece = file.slice(at, at + size);
      state = await again(
        async () => await send(`/api/uploads/${id}?at=${at}`, "application/octet-stream", piece),
        left,
      );
    }
    return isFailure(state) ? { failure: state } : { id: state.id };
  } catch {
    // Leaving makes room for another file at once.
    if (left.aborted && begun !== undefined)
      void fetch(`/api/uploads/${begun}`, { method: "DELETE", headers: { "x-odoo-pg-token": token } }).catch(
        () => {},
      );
    return { failure: silence(false) };
  }
}

/** Retries where nothing answers, as when a line is cut for a moment. */
async function again<T>(act: () => Promise<T>, left: AbortSignal): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await act();
    } catch (error) {
      if (left.aborted || tries >= TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
}

function isFailure(answer: UploadState | Failure): answer is Failure {
  return "message" in answer;
}
