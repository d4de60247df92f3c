/** Gives a socket to a group, whose members may then connect. */
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync } from 'node:fs'
import { show } from '../base/errors.ts'
import { configError } from '../config/fields.ts'

const groupMode = 0o660

/** Throws ERR_RAMCACHE_CONFIG for a group that does not exist or that this user may not give files to. */
export function giveToGroup(path: string, group: string): void {
  try {
    chownSync(path, -1, groupId(group))
    chmodSync(path, groupMode)
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'EPERM') throw error
    throw configError(
      `this user may not give the socket to the group ${show(group)}: it is not a member`,
      error,
    )
  }
}

function groupId(group: string): number {
  if (/^\d+$/.test(group)) return Number(group)
  let line: string
  try {
    line = execFileSync('getent', ['group', '--', group], { encoding: 'utf8' })
  } catch (error) {
    throw configError(`there is no group ${show(group)}`, error)
  }
  return Number(line.split(':')[2])
}
