/** What a check has found: all of it counted, the first of it in words. */

/** Messages that are kept. */
const messagesMax = 100

export class Problems {
  readonly messages: string[] = []
  count = 0

  add(message: string): void {
    this.count++
    if (this.messages.length < messagesMax) this.messages.push(message)
  }
}
