export const pageModule: string;
export function pageModuleSource(): Promise<string>;
