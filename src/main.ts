import { runProgram } from "./cli/program.ts";
import { endQuietlyWhenReaderLeaves, exitNow, readInvocation } from "./system/terminal.ts";

endQuietlyWhenReaderLeaves();
exitNow(await runProgram(readInvocation()));
