/** Threads of an owner. */
import { basename } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { ControlThreadData, TierThreadData } from './messages.ts'

/** What short-lived objects may take in each thread: V8 would let them have 48 MB before it looks after them. */
const youngMegabytes = 3

/** `name` is that of its file, seen from here. In the source tree, which Node cannot run in a thread, the built one is taken. */
export function startThread(name: string, workerData: TierThreadData | ControlThreadData): Worker {
  const isSource = import.meta.url.endsWith('.ts')
  const url = new URL(isSource ? `../../dist/owner/${name}.js` : `./${name}.js`, import.meta.url)
  const resourceLimits = { maxYoungGenerationSizeMb: youngMegabytes }
  // Not the program's own: an option like --input-type is an error in a thread that runs a file.
  const worker = new Worker(url, {
    workerData,
    resourceLimits,
    execArgv: [],
    name: `ramcache ${basename(name)}`,
  })
  // They live as long as the store, not as long as the program has something to do.
  worker.unref()
  return worker
}
