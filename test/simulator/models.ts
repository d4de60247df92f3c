/**
 * The policies once more, in plain arrays and as close to the words of their papers as code can be: slow, and easy to
 * check by eye. The newest object is last. Each takes one request and says whether it hit.
 */

interface Item {
  readonly id: number
  readonly size: number
  hits: number
}

const bytes = (items: readonly Item[]) => items.reduce((sum, item) => sum + item.size, 0)

function take(items: Item[], id: number): Item | undefined {
  const index = items.findIndex((item) => item.id === id)
  return index < 0 ? undefined : items.splice(index, 1)[0]
}

type Model = (capacity: number) => (id: number, size: number) => boolean

const lru: Model = (capacity) => {
  const cache: Item[] = []
  return (id, size) => {
    const found = take(cache, id)
    if (found === undefined && size > capacity) return false
    while (found === undefined && bytes(cache) + size > capacity) cache.shift()
    cache.push({ id, size, hits: 0 })
    return found !== undefined
  }
}

const sieve: Model = (capacity) => {
  const cache: Item[] = []
  let hand = 0
  return (id, size) => {
    const found = cache.find((item) => item.id === id)
    if (found !== undefined) {
      found.hits = 1
      return true
    }
    if (size > capacity) return false
    while (bytes(cache) + size > capacity) {
      // A hand past the newest stands at the oldest, once the next eviction looks for it.
      if (hand >= cache.length) hand = 0
      while ((cache[hand] as Item).hits > 0) {
        ;(cache[hand] as Item).hits = 0
        hand = (hand + 1) % cache.length
      }
      cache.splice(hand, 1)
      // The newcomer must not slip under a hand that has passed the newest.
      if (hand === cache.length) hand = Number.POSITIVE_INFINITY
    }
    cache.push({ id, size, hits: 0 })
    return false
  }
}

const s3Fifo: Model = (capacity) => {
  const small: Item[] = []
  const main: Item[] = []
  const ghost: Item[] = []
  const smallSize = Math.max(1, Math.floor(capacity / 10))
  const ghostSize = Math.floor(capacity * 0.9)

  const evictMain = () => {
    for (;;) {
      const item = main.shift() as Item
      if (item.hits === 0) return
      item.hits -= 1
      main.push(item)
    }
  }
  const evictSmall = () => {
    while (small.length > 0) {
      const item = small.shift() as Item
      const isWanted = item.hits >= 2
      item.hits = 0
      if (isWanted) main.push(item)
      else {
        if (item.size > ghostSize) return
        ghost.push(item)
        while (bytes(ghost) > ghostSize) ghost.shift()
        return
      }
    }
  }
  return (id, size) => {
    const found = [...small, ...main].find((item) => item.id === id)
    if (found !== undefined) {
      found.hits = Math.min(3, found.hits + 1)
      return true
    }
    const remembered = take(ghost, id)
    if (size > smallSize) return false
    while (bytes(small) + bytes(main) + size > capacity) {
      if (bytes(main) > capacity - smallSize || small.length === 0) evictMain()
      else evictSmall()
    }
    const queue = remembered === undefined ? small : main
    queue.push({ id, size, hits: 0 })
    return false
  }
}

export const MODELS = { LRU: lru, SIEVE: sieve, 'S3-FIFO': s3Fifo } as const
