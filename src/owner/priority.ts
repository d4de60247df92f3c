/**
 * What a thread that tidies up leaves to the others. Where processors are short, whoever answers somebody comes first;
 * `docs/decisions/0029-stand-back.md`.
 */
import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { basename } from 'node:path'

/** A niceness: against a thread that has none it gets a tenth of a processor that both want, and all of an idle one. */
const niceness = 10

/** Lowers the priority of the calling thread, for good: only root could raise it again. */
export function standBack(): void {
  try {
    // Linux counts threads as processes here: `<pid>/task/<tid>`.
    setPriority(Number(basename(readlinkSync('/proc/thread-self'))), niceness)
  } catch {
    // Without /proc, or where it is forbidden, it runs like the others.
  }
}
