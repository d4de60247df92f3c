/**
 * The model as a subject: it turns operations into the protocols of the files beside it. One step is whatever happens
 * between two yields; the driver may run any other task, or crash everything, between any two of them.
 */

import type { Prng } from '../../src/base/prng.ts'
import { rebuildFilter, split } from './growth.ts'
import { logKeys } from './log-writer.ts'
import { checkpoint, drain, evict, sweep } from './movement.ts'
import type { Mutant } from './mutants.ts'
import { get, getMany, nearGet } from './reads.ts'
import { recover } from './recovery.ts'
import type { CrashKind, Operation, Reply, Steps, Subject } from './subject.ts'
import { NAMESPACE, World } from './world.ts'
import { add, fill, invalidate, lease, remove, set, setMany, touch } from './writes.ts'

const WRITE_BATCH = 2

export class Model implements Subject {
  readonly world: World
  #hasArena = true

  constructor(random: Prng, mutant?: Mutant) {
    this.world = new World(random, mutant)
  }

  *begin(operation: Operation): Steps<Reply> {
    const w = this.world
    switch (operation.kind) {
      case 'set':
        return version(yield* set(w, operation))
      case 'delete':
        return version(yield* remove(w, operation.key, operation.durability))
      case 'setMany':
        return version(yield* setMany(w, operation))
      case 'add':
        return flag(yield* add(w, operation))
      case 'touch':
        return flag(yield* touch(w, operation.key, operation.ttlMs))
      case 'fill':
        return flag(yield* fill(w, operation.lease, operation))
      case 'get':
        return { kind: 'value', value: yield* get(w, operation.key, operation.promote) }
      case 'near':
        return { kind: 'value', value: yield* nearGet(w, operation.client, operation.key) }
      case 'getMany':
        return { kind: 'values', values: yield* getMany(w, operation.keys) }
      case 'lease':
        yield* lease(w, operation.lease, operation.key)
        break
      case 'clear':
        yield* invalidate(w, NAMESPACE, operation.durability)
        break
      case 'invalidateTag':
        yield* invalidate(w, operation.tag, operation.durability)
        break
      case 'flush':
        yield* logKeys(w, [...w.queue], { sync: true, spill: false })
        break
      case 'remotePut':
        w.disk.remote.set(operation.key, operation.value)
        break
      case 'advance':
        w.advance(operation.ms)
        break
      case 'move':
        yield* this.#move(operation)
    }
    return { kind: 'done' }
  }

  *#move({ move, choice }: Operation & { kind: 'move' }): Steps {
    const w = this.world
    if (move === 'write') yield* logKeys(w, [...w.queue].slice(0, WRITE_BATCH), { sync: false, spill: false })
    else if (move === 'checkpoint') yield* checkpoint(w, choice % 2 === 1)
    else if (move === 'evict') yield* evict(w, choice)
    else if (move === 'drain') yield* drain(w, choice)
    else if (move === 'sweep') yield* sweep(w)
    else if (move === 'split') yield* split(w)
    else yield* rebuildFilter(w)
  }

  crash(kind: CrashKind): void {
    this.world.crash(kind)
    this.#hasArena &&= kind === 'kill'
  }

  *recover(): Steps {
    yield* recover(this.world, this.#hasArena)
    this.#hasArena = true
  }

  check(): string[] {
    const { arena, disk, locks } = this.world
    const problems = [...locks].map((name) => `lock ${name} is held at rest`)
    const seen = new Set<string>()
    for (const [bucket, slots] of arena.buckets.entries()) {
      for (const slot of slots) {
        if (slot === undefined) continue
        const cell = arena.segment(slot.segment).cells[slot.offset]
        if (arena.bucketOf(slot.key) !== bucket) problems.push(`${slot.key} lies in bucket ${bucket}`)
        if (seen.has(slot.key)) problems.push(`${slot.key} has two slots`)
        if (cell?.meta.key !== slot.key) problems.push(`slot of ${slot.key} points to ${cell?.meta.key}`)
        if (cell?.low !== cell?.high) problems.push(`record of ${slot.key} is torn`)
        if (!arena.isOfGeneration(slot)) problems.push(`slot of ${slot.key} is of another generation`)
        seen.add(slot.key)
      }
    }
    for (const [at, segment] of arena.segments.entries()) {
      if (segment.writers !== 0) problems.push(`segment ${at} is pinned at rest`)
      if (segment.state === 'free' && arena.keysIn(at).length > 0)
        problems.push(`free segment ${at} is reachable`)
    }
    for (const [key, row] of disk.index.state.rows) {
      const entry = disk.log.read(row.at)
      if (entry?.key !== key || entry.version !== row.version) problems.push(`index of ${key} points nowhere`)
    }
    return problems
  }
}

const version = (number: number): Reply => ({ kind: 'version', version: number })
const flag = (isTrue: boolean): Reply => ({ kind: 'flag', flag: isTrue })
