export const VERSION_0_1: string;
export function hasHistory(commit?: string): boolean;
export function earlierProgram(commit?: string): string;
