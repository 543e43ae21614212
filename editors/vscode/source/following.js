"use strict";

/**
 * Does a piece of work again and again, never twice at a time: while one runs, wishes for more are one, and it is told to stop.
 */
class Following {
  /**
   * @param {(signal: AbortSignal) => Promise<void>} work
   * @param {number} pause milliseconds that a wish waits for others
   */
  constructor(work, pause) {
    this.work = work;
    this.pause = pause;
    this.running = undefined;
    this.timer = undefined;
    this.stop = undefined;
    this.closed = false;
  }

  /** Do it, soon. */
  wish() {
    if (this.closed) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.start(), this.pause);
  }

  async start() {
    this.stop?.abort();
    const before = this.running;
    const stop = new AbortController();
    this.stop = stop;
    this.running = (async () => {
      await before;
      if (!stop.signal.aborted) await this.work(stop.signal);
    })();
    await this.running;
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.stop?.abort();
  }
}

module.exports = { Following };
