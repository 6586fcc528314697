import type { NodeOperation } from "../../../model/node-state.ts";
import type { Service } from "../../../services/service.ts";

/** Keeps supervision away from services that an order ends; if that fails they run again. */
export async function whileHeld(
  operation: NodeOperation,
  services: readonly (Service | undefined)[],
  act: () => Promise<void>,
): Promise<void> {
  try {
    for (const service of services) await service?.hold.take(operation);
    await act();
  } catch (error) {
    for (const service of services) service?.hold.release();
    throw error;
  }
}
