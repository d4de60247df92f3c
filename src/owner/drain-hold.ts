/**
 * Keeps files of the log where they are while somebody copies or checks them. A drain that has begun ends first; what
 * is due meanwhile waits, and only costs space.
 */
export class DrainHold {
  #holders = 0
  #step: Promise<unknown> = Promise.resolve()

  /** One step of the drain, unless it is held: then false, as when nothing is due. */
  step(drain: () => Promise<boolean>): Promise<boolean> {
    if (this.#holders > 0) return Promise.resolve(false)
    const step = drain()
    this.#step = step.catch(() => {})
    return step
  }

  /** Runs `work` while no file goes and no record is moved. */
  async while<T>(work: () => Promise<T>): Promise<T> {
    this.#holders++
    try {
      await this.#step
      return await work()
    } finally {
      this.#holders--
    }
  }
}
