/** An error whose text is written for its reader, with the exit status of the process. */
export class SetupError extends Error {
  /**
   * @param {string} message
   * @param {number} exit
   */
  constructor(message, exit) {
    super(message);
    this.exit = exit;
  }
}
