/** What the thread that works for `ramcache/wincache` can be asked for: the store, and everything over it. */
import { readFile, realpath } from 'node:fs/promises'
import type { ValidatedWincache } from '../config/wincache-options.ts'
import { type Cache, connect, open } from '../index.ts'
import { Counts } from './counts.ts'
import { FileCache, fileNamespace, pathNamespace } from './file-cache.ts'
import { FileInfo } from './file-info.ts'
import { Locks, lockNamespace } from './locks.ts'
import { sessionInfo } from './sessions.ts'
import { UserCache, userNamespace } from './user-cache.ts'

const countNamespace = 'wincache-counts'

export type Handlers = Awaited<ReturnType<typeof openHandlers>>

export async function openHandlers(options: ValidatedWincache) {
  const { store, lockWaitMs, hasFileCache } = options
  const root: Cache =
    store.socket === undefined ? await open(store.options) : await connect(store.socket, store.options)
  const counts = new Counts(root.namespace(countNamespace))
  const user = new UserCache(root.namespace(userNamespace), counts)
  // A lock that is evicted is lost.
  const locks = new Locks(root.namespace(lockNamespace, { pin: true }))
  const [kept, paths] = [root.namespace(fileNamespace), root.namespace(pathNamespace)]
  const files = new FileCache(kept, paths, counts, options)
  const fileInfo = new FileInfo(files, root, counts)
  return {
    ready: async () => true,
    get: (key: string) => user.get(key),
    getMany: (keys: readonly string[]) => user.getMany(keys),
    set: (...args: Parameters<UserCache['set']>) => user.set(...args),
    add: (...args: Parameters<UserCache['add']>) => user.add(...args),
    cas: (...args: Parameters<UserCache['cas']>) => user.cas(...args),
    increment: (...args: Parameters<UserCache['increment']>) => user.increment(...args),
    delete: (keys: readonly string[]) => user.delete(keys),
    exists: (key: string) => user.exists(key),
    clear: () => user.clear(),
    userInfo: (isSummary: boolean, key?: string) => user.info(isSummary, key),
    memory: () => user.memory(),
    lock: (key: string, name: string) => locks.lock(key, name, lockWaitMs),
    unlock: (key: string) => locks.unlock(key),
    readFile: (path: string): Promise<Uint8Array> => (hasFileCache ? files.read(path) : readFile(path)),
    resolvePath: (path: string) => (hasFileCache ? files.resolve(path) : realpath(path)),
    refresh: (paths: readonly string[] | undefined) => files.refreshIfChanged(paths),
    fileInfo: (isSummary: boolean) => fileInfo.fileInfo(isSummary),
    pathInfo: (isSummary: boolean) => fileInfo.pathInfo(isSummary),
    sessionInfo: (isSummary: boolean) => sessionInfo(root, counts, isSummary),
    close: async () => {
      await locks.close()
      counts.stop()
      await counts.flush().catch(() => {})
      await root.close()
    },
  }
}
