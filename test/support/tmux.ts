/** Terminals that are ones: of a tmux server of its own, so that no other terminal of the machine is touched. */
import { execFileSync, spawnSync } from 'node:child_process'
import { join } from 'node:path'

export class Tmux {
  readonly #server: readonly string[]

  constructor(folder: string) {
    if (spawnSync('tmux', ['-V']).error !== undefined) {
      throw new Error('this test needs a terminal: install tmux (apt-get install tmux)')
    }
    this.#server = ['-S', join(folder, 'tmux'), '-f', '/dev/null']
  }

  run(...args: readonly string[]): string {
    return execFileSync('tmux', [...this.#server, ...args], { encoding: 'utf8' })
  }

  /** What stands in the terminal of a session. */
  shown(session: string): string {
    return this.run('capture-pane', '-p', '-t', session)
  }

  /** Also when it is gone with its last session already. */
  end(): void {
    spawnSync('tmux', [...this.#server, 'kill-server'])
  }
}
