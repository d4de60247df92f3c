/** Which file of the log is drained next, if any. Pure, so that it can be tested without a disk. */

export interface LogFile {
  readonly number: number
  readonly bytes: number
  readonly liveBytes: number
  /** Part of `liveBytes`: deletes that are kept because older files are there. */
  readonly deleteBytes: number
}

export interface LogSituation {
  /** Files that the committed index has whole and that can be read, the oldest first. */
  readonly files: readonly LogFile[]
  /** Number of the oldest file of all. */
  readonly oldest: number | undefined
  /** Nobody but the drain appends. */
  readonly isQuiet: boolean
  /** The file system has less left than is safe. */
  readonly isShort: boolean
  /** The SSD tier is full, and what is cold has somewhere to go. */
  readonly demotes?: boolean
  /** All tiers are full, and what is coldest goes. */
  readonly evicts?: boolean
}

/** While the log is written to: at most 2.4 bytes are copied for each that comes free. */
const liveShareBusy = 0.7
/** When it is not: as long as the files are this many times what is in them. */
const bytesPerLiveQuiet = 1.1
/** When space runs out, anything that brings a twentieth. */
const liveShareShort = 0.95
/** Of the log, for deletes: beyond it the oldest file goes, whatever is in it, because only that ends deletes. */
const deleteShare = 1 / 16

export function chooseFile(situation: LogSituation): LogFile | undefined {
  const { files, oldest, isQuiet, isShort, demotes = false, evicts = false } = situation
  const [first] = files
  if (first === undefined) return undefined
  if (demotes && first.number === oldest) return first
  const total = sumOf(files, (file) => file.bytes)
  const deletes = sumOf(files, (file) => file.deleteBytes)
  if (first.number === oldest && deletes > total * deleteShare) return first
  let emptiest = first
  for (const file of files) if (shareOf(file) < shareOf(emptiest)) emptiest = file
  const share = shareOf(emptiest)
  // Rather what nobody needs than what is cold.
  if (evicts && share > liveShareBusy) return first.number === oldest ? first : undefined
  if (share <= liveShareBusy || (isShort && share <= liveShareShort)) return emptiest
  const isLoose = total > bytesPerLiveQuiet * sumOf(files, (file) => file.liveBytes)
  return isQuiet && isLoose ? emptiest : undefined
}

function shareOf(file: LogFile): number {
  return file.bytes === 0 ? 0 : file.liveBytes / file.bytes
}

function sumOf(files: readonly LogFile[], of: (file: LogFile) => number): number {
  return files.reduce((sum, file) => sum + of(file), 0)
}
