/**
 * What a thread that tidies up leaves to the others. Where processors are short, whoever answers somebody comes first;
 * `docs/decisions/0029-stand-back.md`.
 */
import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'
import { basename } from 'node:path'

/**
 * A niceness: against a thread that has none it gets a quarter of a processor that both want, and all of an idle one. With
 * 10 it gets a tenth, and on a machine that is busy for long a backup does not come to its end.
 */
const niceness = 5

/** Lowers the priority of the calling thread, for good: only root could raise it again. */
export function standBack(): void {
  try {
    // Linux counts threads as processes here: `<pid>/task/<tid>`.
    setPriority(Number(basename(readlinkSync('/proc/thread-self'))), niceness)
  } catch {
    // Without /proc, or where it is forbidden, it runs like the others.
  }
}
