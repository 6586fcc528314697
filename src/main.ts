import { runProgram } from "./cli/program.ts";
import { endQuietlyWhenReaderLeaves, exitAfterLastWord, readInvocation } from "./system/terminal.ts";

endQuietlyWhenReaderLeaves();
await exitAfterLastWord(await runProgram(readInvocation()));
