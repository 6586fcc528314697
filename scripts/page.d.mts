import type { Plugin } from "esbuild";

export const pageModule: string;
export const pageInProgram: Plugin;
export function pageModuleSource(): Promise<string>;
