/**
 * The thread that answers requests of clients that take JavaScript. It shares the store of its process, and is started
 * by the first such request.
 */
import { parentPort, workerData } from 'node:worker_threads'
import { systemClock } from '../base/clock.ts'
import { OwnedBlobs } from '../cache/blobs.ts'
import { ownerCache } from '../cache/cache.ts'
import { binding } from '../native/binding.ts'
import { joinEngine } from '../native/open.ts'
import type { ControlThreadData, FromControl } from '../owner/messages.ts'
import { TierScans } from '../owner/scans.ts'
import { BlobWrites } from './blob-writes.ts'
import { commands, type Home } from './commands.ts'
import { encodeReply, Failure, failureOf, type Reply } from './replies.ts'
import { type CommandRequest, unpackRequests } from './requests.ts'

/** Requests taken at a time, in bytes. */
const batchBytes = 1024 * 1024

const data = workerData as ControlThreadData
const port = parentPort as NonNullable<typeof parentPort>
const engine = joinEngine(data.dir, data.isDaemon)
const handle = engine.native
const blobs = new OwnedBlobs(engine)
const scans = new TierScans(data.dir)
const cache = ownerCache(engine, blobs, data.namespaces, false, undefined, scans)
const tell = (message: FromControl) => port.postMessage(message)

const home: Home = {
  cache,
  engine,
  scans,
  blobs: new BlobWrites(),
  stats: async () => {
    const stats = await cache.stats()
    const uptimeSeconds = Math.floor((systemClock.nowMs() - data.startedMs) / 1000)
    return { ...stats, uptimeSeconds }
  },
  shutdown: data.canEnd ? () => tell({ kind: 'shutdown' }) : undefined,
}

async function answer(request: CommandRequest): Promise<void> {
  let reply: Reply
  try {
    const command = commands[request.name]
    reply =
      command === undefined
        ? new Failure(`ERR unknown command '${request.name}'`)
        : await command(home, request)
  } catch (error) {
    reply = error instanceof Failure ? error : failureOf(error)
  }
  binding().answerRequest(handle, request.id, encodeReply(reply, request.isResp3))
}

function take(): void {
  for (;;) {
    const packed = binding().takeRequests(handle, batchBytes)
    if (packed.length === 0) return
    for (const request of unpackRequests(packed)) {
      if (request.kind === 'closed') home.blobs.drop(request.connection)
      else void answer(request)
    }
  }
}

port.once('message', async () => {
  // The server has ended: nobody is left to be answered.
  await home.blobs.dropAll()
  await cache.close()
  port.close()
})
binding().listenRequests(handle, take)
