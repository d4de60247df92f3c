/** The absent filter, made from the rows of the index, and the walk over all rows that this takes. */
import { setImmediate as turn } from 'node:timers/promises'
import { binding, type NativeHandle } from '../native/binding.ts'
import type { LogIndex, ScanRow } from '../tiers/log-index.ts'
import type { HddLink } from './hdd-link.ts'

/** Rows read from the index between two looks at whether to stop: few enough to be garbage before they have grown old. */
const pageRows = 100

/** Shows all rows, page by page. False when it was stopped before the end. */
export async function eachPage(
  index: LogIndex,
  isStopping: () => boolean,
  see: (rows: readonly ScanRow[]) => void,
): Promise<boolean> {
  for (let from: Buffer | undefined; !isStopping(); ) {
    const page = index.scan(noBytes, from, pageRows)
    see(page.rows)
    from = page.next
    if (from === undefined) return true
    await turn()
  }
  return false
}

/** Makes the absent filter from the index. The old one, or "maybe", answers until it is complete. */
export async function rebuildFilter(
  handle: NativeHandle,
  index: LogIndex,
  hdd: HddLink | undefined,
  isStopping: () => boolean,
): Promise<void> {
  const below = hdd === undefined ? 0 : (await hdd.count()).entries
  const rebuild = binding().beginFilter(handle, index.count().entries + below)
  if (rebuild === 0) return
  let isComplete = false
  try {
    const isWhole = await eachPage(index, isStopping, (rows) => addToFilter(handle, rows))
    // The lower tier last: what moves down meanwhile is met there, if not before.
    if (isWhole) await hdd?.addKeysToFilter()
    isComplete = isWhole && !isStopping()
  } finally {
    binding().endFilter(handle, rebuild, isComplete)
  }
}

function addToFilter(handle: NativeHandle, rows: readonly ScanRow[]): void {
  const parts = rows.flatMap(({ key, isHashed, row }) => {
    if (row.isTombstone) return []
    if (isHashed) {
      binding().addRecordToFilter(handle, row.file, row.offset, row.bytes)
      return []
    }
    const length = Buffer.alloc(2)
    length.writeUInt16LE(key.length)
    return [length, key]
  })
  binding().addToFilter(handle, Buffer.concat(parts))
}

const noBytes = Buffer.alloc(0)
