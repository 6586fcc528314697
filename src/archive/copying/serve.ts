import type * as z from "zod";
import { now } from "../../system/clock.ts";
import { diskAnswers } from "../../system/files/answering.ts";
import { entriesOf, pieceIn, type Entry } from "../../system/files/folder-files.ts";
import { inFolder, type Folder } from "../../system/files/held/folder.ts";
import { parseJson } from "../../system/files/json-file.ts";
import { markAt, markOf, within } from "./folders.ts";
import { isArchiveId, isPathWithin, isWalFolder, liesIn, MOST_PARTS } from "./names.ts";
import {
  FOLDER,
  folderQuestionSchema,
  LOOK,
  MOST_BASE_FILES,
  MOST_FOLDERS,
  MOST_WAL_FILES,
  PIECE,
  PIECE_BYTES,
  pieceQuestionSchema,
  type baseAnswerSchema,
  type Listed,
  type Look,
  type Place,
  type walAnswerSchema,
} from "./protocol.ts";

/** Pieces and lists that one host is told at once: each is in memory until it is sent. It asks for one after the other. */
const MOST_PIECES = 4;
const MOST_LISTS = 2;

const BUSY: Answer = { status: 429, body: { error: "too many files are being read" } };

/** Milliseconds for the disk to answer. */
const DISK_TIMEOUT = 5000;

/** The repository that is shown to others. */
export interface ServedRepository {
  readonly repository: string;
  readonly stanza: string;
}

type Answer =
  | { readonly status: number; readonly body: unknown }
  | { readonly status: number; readonly bytes: Buffer };

const GONE: Answer = { status: 404, body: { error: "there is no such file or folder" } };

/** Shows a repository of pgBackRest to the agents of other hosts, which copy it. Nothing is changed, and no link followed. */
export class RepositoryService {
  /** Answers that are in memory, by who asks and for what. */
  readonly #present = new Map<string, number>();

  /**
   * @param from the host that asks: one does not keep the others from their answers
   * @param sent when the answer is no longer in memory: read by the other side, or dropped
   * @throws OdooPgError state_dir_unusable where others than root and its owner may change where the repository is
   */
  async answer(
    served: ServedRepository,
    path: string,
    body: string,
    { from, sent }: { readonly from: string; readonly sent: Promise<void> } = {
      from: "",
      sent: Promise.resolve(),
    },
  ): Promise<Answer> {
    const isPiece = path === PIECE;
    const key = `${isPiece ? "piece" : "list"} ${from}`;
    const present = this.#present.get(key) ?? 0;
    if (present >= (isPiece ? MOST_PIECES : MOST_LISTS)) return BUSY;
    this.#present.set(key, present + 1);
    const answer = isPiece ? this.#piece(served, body) : this.#list(served, path, body);
    void Promise.allSettled([answer, sent]).then(() => {
      const left = (this.#present.get(key) ?? 1) - 1;
      if (left > 0) this.#present.set(key, left);
      else this.#present.delete(key);
    });
    return await answer;
  }

  async #list(served: ServedRepository, path: string, body: string): Promise<Answer> {
    if (path === LOOK) return await this.#show(served, async (root) => ok(await look(root, served.stanza)));
    if (path === FOLDER) {
      const question = parseJson(body, folderQuestionSchema);
      if (!question.ok) return refuse(question.problem);
      const asked = question.value;
      return await this.#show(served, async (root) =>
        "wal" in asked
          ? await walIn(root, served.stanza, asked.wal)
          : await baseIn(root, served.stanza, asked.base),
      );
    }
    return refuse("no such question");
  }

  async #piece(served: ServedRepository, body: string): Promise<Answer> {
    const question = parseJson(body, pieceQuestionSchema);
    if (!question.ok) return refuse(question.problem);
    const { of, offset } = question.value;
    return await this.#show(served, async (root) => await piece(root, served.stanza, of, offset));
  }

  async #show({ repository }: ServedRepository, use: (root: Folder) => Promise<Answer>): Promise<Answer> {
    if (!(await diskAnswers(repository, "read", DISK_TIMEOUT)))
      return { status: 503, body: { error: "the disk of the repository does not answer" } };
    return (await inFolder(repository, use)) ?? GONE;
  }
}

function ok(body: unknown): Answer {
  return { status: 200, body };
}

function refuse(problem: string): Answer {
  return { status: 400, body: { error: `the question cannot be read: ${problem}` } };
}

async function look(root: Folder, stanza: string): Promise<Look> {
  const at = now();
  const mark = async (kind: "archive" | "backup"): Promise<string | null> =>
    (await within(root, [kind, stanza], (folder) => {
      const stat = folder.look(`${kind}.info`);
      // Such a file is replaced as a whole: there is none of which half could be seen.
      return stat?.isFile() === true ? `${stat.ino}:${stat.mtimeMs}:${stat.size}` : null;
    })) ?? null;
  const folders: { folder: string; mark: string | null }[] = [];
  await within(root, ["archive", stanza], async (archive) => {
    for (const id of await entriesOf(archive)) {
      if (id.kind !== "folder" || !isArchiveId(id.name)) continue;
      folders.push({ folder: id.name, mark: markOf(id, at) });
      await within(archive, [id.name], async (inner) => {
        for (const entry of await entriesOf(inner))
          if (entry.kind === "folder" && isWalFolder(entry.name))
            folders.push({ folder: `${id.name}/${entry.name}`, mark: markOf(entry, at) });
      });
    }
  });
  return {
    archive_info: await mark("archive"),
    backup_info: await mark("backup"),
    folders: folders.slice(-MOST_FOLDERS),
  };
}

/** Files of WAL in a folder, and the mark of the folder before they were looked at. */
async function walIn(root: Folder, stanza: string, wal: string): Promise<Answer> {
  const parts = wal.split("/");
  const last = parts.at(-1) ?? "";
  const shown = await within(root, ["archive", stanza, ...parts.slice(0, -1)], async (parent) => {
    const mark = markAt(parent, last);
    const entries = await within(parent, [last], entriesOf);
    return entries && { mark, files: entries.filter((entry) => isFile(entry) && liesIn(entry.name, wal)) };
  });
  if (!shown) return GONE;
  if (shown.files.length > MOST_WAL_FILES) return tooMany(shown.files.length);
  const answer: z.input<typeof walAnswerSchema> = { mark: shown.mark, files: shown.files.map(listed) };
  return ok(answer);
}

/** All files of a base backup. Whether it is whole, its manifest says. */
async function baseIn(root: Folder, stanza: string, label: string): Promise<Answer> {
  const files: Listed[] = [];
  const collect = async (folder: Folder, before: string, depth: number): Promise<void> => {
    for (const entry of await entriesOf(folder)) {
      const named = before + entry.name;
      if (files.length > MOST_BASE_FILES || !isPathWithin(named)) continue;
      if (isFile(entry)) files.push([named, entry.bytes, Math.floor(entry.modifiedAt)]);
      else if (entry.kind === "folder" && depth < MOST_PARTS - 1)
        await within(folder, [entry.name], async (inner) => await collect(inner, `${named}/`, depth + 1));
    }
    return undefined;
  };
  const found = await within(root, ["backup", stanza, label], async (folder) => {
    await collect(folder, "", 0);
    return true;
  });
  if (found !== true) return GONE;
  if (files.length > MOST_BASE_FILES) return tooMany(files.length);
  const answer: z.input<typeof baseAnswerSchema> = { files };
  return ok(answer);
}

function tooMany(files: number): Answer {
  return { status: 413, body: { error: `there are ${files} files or more in one folder` } };
}

function isFile({ kind }: Entry): boolean {
  return kind === "file";
}

function listed({ name, bytes, modifiedAt }: Entry): Listed {
  return [name, bytes, Math.floor(modifiedAt)];
}

async function piece(root: Folder, stanza: string, of: Place, offset: number): Promise<Answer> {
  const [folder, name] = placeOf(of, stanza);
  const bytes = await within(root, folder, async (inner) => await pieceIn(inner, name, offset, PIECE_BYTES));
  return bytes ? { status: 200, bytes } : GONE;
}

/** The folders that lead to a file of a repository, and its name. */
function placeOf(of: Place, stanza: string): readonly [folder: readonly string[], name: string] {
  if ("info" in of) return [[of.info === "archive.info" ? "archive" : "backup", stanza], of.info];
  if ("wal" in of) return [["archive", stanza, ...of.wal.split("/")], of.name];
  const parts = of.path.split("/");
  return [["backup", stanza, of.base, ...parts.slice(0, -1)], parts.at(-1) ?? ""];
}
