import { createReadStream, createWriteStream, existsSync } from "node:fs";
import { open, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { createInflateRaw } from "node:zlib";

export interface OdooDump {
  /** Path of a dump.sql as Odoo's database manager writes it. */
  readonly path: string;
  /** Tables that it makes in schema public. */
  readonly tables: number;
}

/** A real backup of Odoo 19 with Sales and its demo data, where the machine has one. */
const realBackup = fileURLToPath(new URL("../../../shared/data/odoo19-sales.zip", import.meta.url));

/** A dump of an Odoo database in `folder`: a real one where there is one beside the checkout, else a small one. */
export async function odooDump(folder: string): Promise<OdooDump> {
  const path = join(folder, "dump.sql");
  if (existsSync(realBackup)) {
    await extract(realBackup, "dump.sql", path);
    return { path, tables: 402 };
  }
  return await smallDump(folder);
}

/** What an Odoo database has that is hard to load, in a few tables. Made as pg_dump --no-owner writes it. */
export async function smallDump(folder: string): Promise<OdooDump> {
  const path = join(folder, "small.sql");
  await writeFile(path, small);
  return { path, tables: 2 };
}

const small = String.raw`SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;
COMMENT ON EXTENSION pg_trgm IS 'text similarity measurement and index searching based on trigrams';
CREATE EXTENSION IF NOT EXISTS unaccent WITH SCHEMA public;
COMMENT ON EXTENSION unaccent IS 'text search dictionary that removes accents';
CREATE TABLE public.res_partner (
    id integer NOT NULL,
    name character varying,
    properties jsonb
);
COMMENT ON TABLE public.res_partner IS 'Contact';
CREATE SEQUENCE public.res_partner_id_seq AS integer START WITH 1 INCREMENT BY 1 NO MINVALUE NO MAXVALUE CACHE 1;
ALTER SEQUENCE public.res_partner_id_seq OWNED BY public.res_partner.id;
CREATE TABLE public.ir_attachment (
    id integer NOT NULL,
    store_fname character varying
);
ALTER TABLE ONLY public.res_partner ALTER COLUMN id SET DEFAULT nextval('public.res_partner_id_seq'::regclass);
COPY public.ir_attachment (id, store_fname) FROM stdin;
1	ab/abcdef
2	\N
\.
COPY public.res_partner (id, name, properties) FROM stdin;
1	Ærø & Søn "ApS" \\ 雪	{"a": 1}
2	\N	\N
\.
SELECT pg_catalog.setval('public.res_partner_id_seq', 2, true);
ALTER TABLE ONLY public.res_partner ADD CONSTRAINT res_partner_pkey PRIMARY KEY (id);
CREATE INDEX res_partner__name_index ON public.res_partner USING gin (public.unaccent((name)::text) public.gin_trgm_ops);
`;

const END_OF_DIRECTORY = 0x06054b50;
const STORED = 0;

/** Takes one file out of a zip archive (APPNOTE.TXT 4.3: end of directory, directory, local header). */
async function extract(archive: string, name: string, target: string): Promise<void> {
  const handle = await open(archive, "r");
  const read = async (position: number, length: number): Promise<Buffer> => {
    const buffer = Buffer.alloc(length);
    await handle.read(buffer, 0, length, position);
    return buffer;
  };
  try {
    const { size } = await handle.stat();
    const tail = await read(Math.max(0, size - 65_557), Math.min(size, 65_557));
    const mark = Buffer.alloc(4);
    mark.writeUInt32LE(END_OF_DIRECTORY);
    const end = tail.lastIndexOf(mark);
    if (end < 0) throw new Error(`${archive} is not a zip archive`);
    const directory = await read(tail.readUInt32LE(end + 16), tail.readUInt32LE(end + 12));
    let at = 0;
    while (at < directory.length) {
      const nameLength = directory.readUInt16LE(at + 28);
      const next = at + 46 + nameLength + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
      if (directory.toString("utf8", at + 46, at + 46 + nameLength) !== name) {
        at = next;
        continue;
      }
      const header = directory.readUInt32LE(at + 42);
      const local = await read(header, 30);
      const start = header + 30 + local.readUInt16LE(26) + local.readUInt16LE(28);
      const source = createReadStream(archive, { start, end: start + directory.readUInt32LE(at + 20) - 1 });
      if (directory.readUInt16LE(at + 10) === STORED) await pipeline(source, createWriteStream(target));
      else await pipeline(source, createInflateRaw(), createWriteStream(target));
      return;
    }
    throw new Error(`${archive} holds no ${name}`);
  } finally {
    await handle.close();
  }
}
