/** A folder with `patroni` and `etcd` of Debian 13, to be put before PATH. */
export const debian13Programs: string;
