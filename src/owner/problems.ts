/** What a check has found: all of it counted, the first of it in words. */

export interface Problem {
  readonly part: 'log' | 'index' | 'names' | 'hdd'
  readonly message: string
}

/** Problems that are kept. */
const listMax = 100

export class Problems {
  readonly list: Problem[] = []
  count = 0

  add(part: Problem['part'], message: string): void {
    this.count++
    if (this.list.length < listMax) this.list.push({ part, message })
  }
}
