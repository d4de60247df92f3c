/** The thread that keeps the index does the work others ask for (`jobs.ts`), beside its own. */
import { BroadcastChannel } from 'node:worker_threads'
import { RamcacheError } from '../base/errors.ts'
import { backupStore } from './backup.ts'
import type { HddLink } from './hdd-link.ts'
import { type JobMessage, jobChannelName } from './jobs.ts'
import type { Keeper } from './keeper.ts'
import { type VerifyReport, verifyStore } from './verify.ts'
import type { HddChecker } from './verify-hdd.ts'

export interface JobServer {
  /** What is under way is given up. */
  close(): Promise<void>
}

export function serveJobs(keeper: Keeper): JobServer {
  const channel = new BroadcastChannel(jobChannelName(keeper.dir))
  const running = new Map<string, { isCancelled: boolean; done: Promise<void> }>()
  const start = ({ id, name, wanted }: JobMessage & { kind: 'job' }) => {
    const job = { isCancelled: false, done: Promise.resolve() }
    const goOn = () => {
      if (keeper.isStopping())
        throw new RamcacheError('ERR_RAMCACHE_CLOSED', 'the store was closed meanwhile')
      if (job.isCancelled) throw new RamcacheError('ERR_RAMCACHE_CLOSED', 'it was given up')
    }
    const work = (): Promise<object> =>
      name === 'backup'
        ? backupStore(keeper, (wanted as { target: string }).target, goOn)
        : verifyOpen(keeper, goOn)
    job.done = keeper.hold.while(work).then(
      (report) => channel.postMessage({ kind: 'done', id, report } satisfies JobMessage),
      (error: unknown) => {
        const { code = 'ERR_RAMCACHE_UNAVAILABLE', message } = error as { code?: string; message: string }
        channel.postMessage({ kind: 'done', id, failure: { code, message } } satisfies JobMessage)
      },
    )
    running.set(id, job)
    void job.done.then(() => running.delete(id))
  }
  channel.onmessage = (event) => {
    const { data } = event as { data: JobMessage }
    if (data.kind === 'job') start(data)
    const job = data.kind === 'cancel' ? running.get(data.id) : undefined
    if (job !== undefined) job.isCancelled = true
  }
  return {
    close: async () => {
      await Promise.all([...running.values()].map(({ done }) => done))
      channel.close()
    },
  }
}

async function verifyOpen(keeper: Keeper, goOn: () => void): Promise<VerifyReport> {
  const { index, ssdDir, hddDir, hdd, checkpoint } = keeper
  await checkpoint()
  const checker = hddDir === undefined || hdd === undefined ? undefined : checkerOf(hddDir, hdd)
  return verifyStore({ ssdDir, hddDir, hdd: checker, index, checkpoint }, goOn)
}

function checkerOf(hddDir: string, hdd: HddLink): HddChecker {
  return { path: hddDir, page: (names, from) => hdd.check(names, from) }
}
