/**
 * Long work on what lies on disk, done in the thread that keeps the index: asked for by any thread of the process, over a
 * channel of the store. One question, one answer.
 */
import { realpathSync } from 'node:fs'
import { BroadcastChannel } from 'node:worker_threads'
import { RamcacheError } from '../base/errors.ts'
import { freshId } from '../base/prng.ts'
import type { BackupReport } from './backup.ts'
import type { VerifyReport } from './verify.ts'

export interface Jobs {
  backup: { readonly wanted: { readonly target: string }; readonly report: BackupReport }
  verify: { readonly wanted: Record<never, never>; readonly report: VerifyReport }
}

export type JobName = keyof Jobs

export type JobMessage =
  | { readonly kind: 'job'; readonly id: string; readonly name: JobName; readonly wanted: object }
  | { readonly kind: 'cancel'; readonly id: string }
  | {
      readonly kind: 'done'
      readonly id: string
      readonly report?: object
      readonly failure?: { readonly code: string; readonly message: string }
      /** There will be no other answer to anybody. */
      readonly isForAll?: boolean
    }

export function jobChannelName(dir: string): string {
  return `ramcache jobs ${realpathSync(dir)}`
}

/** Rejects with what the work failed with, and with the reason of the signal once the work has been given up. */
export function runJob<N extends JobName>(
  dir: string,
  name: N,
  wanted: Jobs[N]['wanted'],
  signal: AbortSignal | undefined,
): Promise<Jobs[N]['report']> {
  return new Promise((resolve, reject) => {
    const id = freshId()
    const channel = new BroadcastChannel(jobChannelName(dir))
    const cancel = () => channel.postMessage({ kind: 'cancel', id } satisfies JobMessage)
    channel.onmessage = (event) => {
      const { data } = event as { data: JobMessage }
      if (data.kind !== 'done' || (data.id !== id && data.isForAll !== true)) return
      channel.close()
      signal?.removeEventListener('abort', cancel)
      const { failure, report } = data
      if (failure === undefined) resolve(report as Jobs[N]['report'])
      else if (signal?.aborted === true) reject(signal.reason)
      else reject(new RamcacheError(failure.code as RamcacheError['code'], failure.message))
    }
    channel.postMessage({ kind: 'job', id, name, wanted } satisfies JobMessage)
    signal?.addEventListener('abort', cancel)
  })
}
