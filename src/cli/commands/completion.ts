/** `ramcache completion`. */
import type { Command, CommandEntry } from '../command.ts'
import { usageError } from '../command.ts'
import { completionOf, type Shell, shells } from '../completion.ts'
import { ExitCode } from '../exit-codes.ts'
import { checkCount } from '../offline.ts'

/** `commands` is the table it stands in. */
export function createCompletionCommand(commands: readonly CommandEntry[]): Command {
  return {
    name: 'completion',
    help: `usage: ramcache completion bash|zsh|fish

A script that completes verbs, their options, and files. For a shell of the moment, or in its start-up file:

  source <(ramcache completion bash)       ~/.bashrc
  source <(ramcache completion zsh)        ~/.zshrc, behind compinit
  ramcache completion fish | source        ~/.config/fish/config.fish
`,
    options: {},
    async run(positionals, _values, io) {
      checkCount(positionals, 1, 1, `one of ${shells.join(', ')}`)
      const [shell] = positionals
      if (!shells.some((known) => known === shell)) {
        throw usageError(`it knows ${shells.join(', ')}, not ${shell}`)
      }
      io.stdout.write(await completionOf(shell as Shell, commands))
      return ExitCode.done
    },
  }
}
