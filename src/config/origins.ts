/** Where a value comes from. */
export type Origin =
  | { readonly kind: "default" }
  /** As the cluster was made with, although the default has changed since. */
  | { readonly kind: "kept" }
  | { readonly kind: "file"; readonly path: string; readonly line: number }
  | { readonly kind: "environment"; readonly name: string };

/** From the path of each value (see `leaves`) to where it comes from. */
export type Origins = ReadonlyMap<string, Origin>;

export type Path = readonly (string | number)[];

/** `["nodes", 0, "name"]` becomes `nodes[0].name`. */
export function formatPath(path: Path): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    return text === "" ? part : `${text}.${part}`;
  }, "");
}

export function formatOrigin(origin: Origin): string {
  if (origin.kind === "file") return `${origin.path}:${origin.line}`;
  if (origin.kind === "environment") return `environment ${origin.name}`;
  return origin.kind === "kept" ? "kept from when the cluster was created" : "default";
}

/** One value of a configuration: a scalar, a list of scalars, or an empty section. */
export interface Leaf {
  readonly path: Path;
  readonly value: Scalar | readonly Scalar[] | Readonly<Record<string, never>>;
}

export type Scalar = string | number | boolean;

function isScalar(value: unknown): value is Scalar {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

/** Every value of a configuration, in its order. Keys that are not set are left out. */
export function leaves(value: unknown, path: Path = []): Leaf[] {
  if (isScalar(value)) return [{ path, value }];
  if (Array.isArray(value)) {
    if (value.every(isScalar)) return [{ path, value }];
    return value.flatMap((item, index) => leaves(item, [...path, index]));
  }
  if (typeof value !== "object" || value === null) return [];
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  if (entries.length === 0) return [{ path, value: {} }];
  return entries.flatMap(([key, item]) => leaves(item, [...path, key]));
}
