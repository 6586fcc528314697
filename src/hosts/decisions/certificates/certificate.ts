/** A certificate is renewed when it ends sooner than this: after two thirds of its year. */
const RENEW_BEFORE = 120 * 24 * 3_600_000;

/** A certificate that ends sooner than this should have been renewed long ago: there is a warning. */
const WARN_BEFORE = 60 * 24 * 3_600_000;

/**
 * The authority is not renewed by itself: the warning comes more than a year before its end, so that it can be planned.
 */
const WARN_OF_AUTHORITY = 500 * 24 * 3_600_000;

/** Whether a host should ask for another certificate. @param ends and `now`: milliseconds since the epoch. Pure */
export function isToBeRenewed(ends: number, now: number): boolean {
  return ends - now < RENEW_BEFORE;
}

/** Whether a certificate was not renewed in time, so that a person has to find out why. Pure */
export function endsSoon(ends: number, now: number): boolean {
  return ends - now < WARN_BEFORE;
}

/** Whether a new authority has to be planned: all certificates that it signed end with it. Pure */
export function authorityEndsSoon(ends: number, now: number): boolean {
  return ends - now < WARN_OF_AUTHORITY;
}
