import path from "node:path";
import type { HostFiles } from "../documents/files.ts";

/**
 * Code that Python runs in Patroni's process before Patroni.
 * - On SIGUSR2, which Patroni does not use, each thread writes where it is into patroni.start.log, whatever it waits for.
 * - Clients of Patroni's API with a revoked certificate are refused. Patroni 4 has no setting for that; OpenSSL reads the list
 *   from the authority's file, and checks it once it is told to.
 * It works with any Python that runs Patroni; programs that Patroni starts do not inherit it.
 * Source: Patroni 4.0, patroni/api.py, __initialize; Python, ssl.SSLContext.verify_flags and site ("sitecustomize")
 */
export function renderRevocationCheck({ patroniAuthority }: Pick<HostFiles, "patroniAuthority">): string {
  return `# Made by odoo-pg. Changes here are lost.
import os
import signal
import ssl
import sys

try:
    import faulthandler
    faulthandler.register(signal.SIGUSR2)
except Exception as error:
    print("no stack is told on SIGUSR2:", error, file=sys.stderr)

here = os.path.dirname(os.path.abspath(__file__))
rest = [p for p in os.environ.pop("PYTHONPATH", "").split(os.pathsep) if p and os.path.abspath(p) != here]
if rest:
    os.environ["PYTHONPATH"] = os.pathsep.join(rest)
sys.path[:] = [p for p in sys.path if os.path.abspath(p or ".") != here]

make = ssl.create_default_context


def create_default_context(purpose=ssl.Purpose.SERVER_AUTH, **given):
    context = make(purpose, **given)
    if os.path.basename(given.get("cafile") or "") == ${JSON.stringify(path.basename(patroniAuthority))}:
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


ssl.create_default_context = create_default_context

# The system may have one of its own.
own = sys.modules.pop(__name__, None)
try:
    import sitecustomize
except ImportError:
    sys.modules[__name__] = own
`;
}
