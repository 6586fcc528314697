import { runProgram } from "./cli/program.ts";
import { endQuietlyWhenReaderLeaves, exitAfterLastWord, readInvocation } from "./system/terminal.ts";

endQuietlyWhenReaderLeaves();
export const ended = runProgram(readInvocation()).then(exitAfterLastWord);
