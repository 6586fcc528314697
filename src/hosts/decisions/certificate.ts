/** A certificate is renewed when it ends sooner than this: after two thirds of its year. */
const RENEW_BEFORE = 120 * 24 * 3_600_000;

/** One that ends sooner than this should have been renewed long ago. */
const WARN_BEFORE = 60 * 24 * 3_600_000;

/** The authority is not renewed: whoever has to plan for that has more than a year, with two maintenance windows. */
const WARN_OF_AUTHORITY = 500 * 24 * 3_600_000;

/** Whether a host asks for another certificate. @param ends and `now`: milliseconds since the epoch. Pure */
export function isToBeRenewed(ends: number, now: number): boolean {
  return ends - now < RENEW_BEFORE;
}

/** Whether someone has to find out why it was not renewed. Pure */
export function endsSoon(ends: number, now: number): boolean {
  return ends - now < WARN_BEFORE;
}

/** Whether a new authority has to be planned for: what it signs ends with it. Pure */
export function authorityEndsSoon(ends: number, now: number): boolean {
  return ends - now < WARN_OF_AUTHORITY;
}
