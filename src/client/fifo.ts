/** A queue whose ends cost the same however long it is. */
export class Fifo<T> {
  #items: T[] = []
  #first = 0

  get length(): number {
    return this.#items.length - this.#first
  }

  push(item: T): void {
    this.#items.push(item)
  }

  shift(): T | undefined {
    if (this.#first === this.#items.length) return undefined
    const item = this.#items[this.#first] as T
    // Nothing that was taken out stays in memory, and the places of what was are given back in one go.
    this.#items[this.#first++] = undefined as T
    if (this.#first === this.#items.length || this.#first > 1024 + this.#items.length / 2) {
      this.#items = this.#items.slice(this.#first)
      this.#first = 0
    }
    return item
  }
}
