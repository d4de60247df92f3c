/** How often this process found each key since it wrote it; of as many keys as there is room for. */

/** About 100 bytes each. */
const keysMax = 10_000

export class HitCounts {
  readonly #counts = new Map<string, number>()

  add(key: string): void {
    const count = this.#counts.get(key)
    if (count === undefined && this.#counts.size === keysMax) {
      const [oldest] = this.#counts.keys()
      this.#counts.delete(oldest as string)
    }
    this.#counts.set(key, (count ?? 0) + 1)
  }

  of(key: string): number {
    return this.#counts.get(key) ?? 0
  }

  forget(key: string): void {
    this.#counts.delete(key)
  }

  clear(): void {
    this.#counts.clear()
  }
}
