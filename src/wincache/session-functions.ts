/** `wincache_scache_*`: sessions that PHP keeps in the store. */
import { attempt } from './attempt.ts'
import type { MemoryInfo, ScacheInfo } from './shapes.ts'
import { thread } from './thread.ts'

/** All sessions, or only the totals. */
export function wincache_scache_info(summaryonly: unknown = false): ScacheInfo | false {
  const ask = () => thread().call('sessionInfo', Boolean(summaryonly))
  return attempt<ScacheInfo | false>('wincache_scache_info', ask, false)
}

/** Of the whole store. */
export function wincache_scache_meminfo(): MemoryInfo | false {
  return attempt<MemoryInfo | false>('wincache_scache_meminfo', () => thread().call('memory'), false)
}
