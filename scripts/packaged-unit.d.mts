export function packagedUnit(printed: string): string;
