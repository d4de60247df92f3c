/** Completion scripts for shells, made from the table of verbs: what a verb does not take is never offered. */
import { GLOBAL_OPTIONS } from './arguments.ts'
import type { CommandEntry, OptionTable } from './command.ts'

export const shells = ['bash', 'zsh', 'fish'] as const
export type Shell = (typeof shells)[number]

interface Option {
  readonly name: string
  readonly short: string | undefined
  readonly takesValue: boolean
  readonly isPath: boolean
}

interface Verb {
  readonly name: string
  readonly summary: string
  readonly options: readonly Option[]
}

/** Options whose value is a file or a directory. */
const pathOptions = new Set(['config', 'dir', 'hdd', 'output', 'socket', 'ssd', 'svg'])

export async function completionOf(shell: Shell, commands: readonly CommandEntry[]): Promise<string> {
  const verbs = await Promise.all(
    commands.map(async ({ name, summary, load }) => {
      const { options } = await load()
      return { name, summary, options: optionsOf({ ...options, ...GLOBAL_OPTIONS }) }
    }),
  )
  return writers[shell](verbs)
}

function optionsOf(table: OptionTable): Option[] {
  return Object.entries(table).map(([name, { type, short }]) => ({
    name,
    short,
    takesValue: type === 'string',
    isPath: pathOptions.has(name),
  }))
}

const writers: Readonly<Record<Shell, (verbs: readonly Verb[]) => string>> = { bash, zsh, fish }

/** All ways to write the options that `isWanted`, of all verbs. */
function spellings(verbs: readonly Verb[], isWanted: (option: Option) => boolean): string[] {
  const wanted = verbs.flatMap(({ options }) => options.filter(isWanted))
  const all = wanted.flatMap(({ name, short }) => [
    `--${name}`,
    ...(short === undefined ? [] : [`-${short}`]),
  ])
  return [...new Set(all)].sort()
}

const longNames = (options: readonly Option[]) => options.map(({ name }) => `--${name}`)

function bash(verbs: readonly Verb[]): string {
  const paths = spellings(verbs, ({ isPath }) => isPath)
  const values = spellings(verbs, ({ takesValue, isPath }) => takesValue && !isPath)
  const globals = longNames(optionsOf(GLOBAL_OPTIONS))
  return `# Completion of ramcache for bash: source <(ramcache completion bash)
_ramcache() {
  local current=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]} verb= words at
  COMPREPLY=()
  for ((at = 1; at < COMP_CWORD; at++)); do
    case \${COMP_WORDS[at]} in
      ${[...paths, ...values].join('|')}) ((at++)) ;;
      -*) ;;
      *) verb=\${COMP_WORDS[at]}; break ;;
    esac
  done
  case $before in
    ${paths.join('|')}) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    ${values.join('|')}) return ;;
  esac
  case $verb in
    '') words='${[...verbs.map(({ name }) => name), 'help', ...globals].join(' ')}' ;;
    help) words='${verbs.map(({ name }) => name).join(' ')}' ;;
    completion) words='${shells.join(' ')}' ;;
${verbs
  .filter(({ name }) => name !== 'completion')
  .map(({ name, options }) => `    ${name}) words='${longNames(options).join(' ')}' ;;\n`)
  .join('')}    *) return ;;
  esac
  if [[ -n $verb && $verb != help && $verb != completion && $current != -* ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  fi
}
complete -F _ramcache ramcache
`
}

function zsh(verbs: readonly Verb[]): string {
  const spec = ({ name, takesValue, isPath }: Option) =>
    `'--${name}${takesValue ? `=:${name}:${isPath ? '_files' : ' '}` : ''}'`
  const rest = (name: string) => {
    if (name === 'completion') return `'1:shell:(${shells.join(' ')})'`
    return name === 'help' ? `'1:verb:(${verbs.map(({ name }) => name).join(' ')})'` : `'*:file:_files'`
  }
  const ofVerb = ({ name, options }: Pick<Verb, 'name' | 'options'>) =>
    `        ${name}) _arguments ${[...options.map(spec), rest(name)].join(' ')} ;;\n`
  return `#compdef ramcache
# Completion of ramcache for zsh: source <(ramcache completion zsh)
_ramcache() {
  local curcontext="$curcontext" state line
  local -a verbs
  verbs=(
${[...verbs, help].map(({ name, summary }) => `    ${quoted(`${name}:${summary.replaceAll(':', '\\:')}`)}\n`).join('')}  )
  _arguments -C '1:verb:->verb' '*::argument:->argument'
  case $state in
    verb) _describe verb verbs ;;
    argument)
      case $words[1] in
${[...verbs, { ...help, options: [] }].map(ofVerb).join('')}      esac
      ;;
  esac
}
if [[ $funcstack[1] == _ramcache ]]; then _ramcache "$@"; else compdef _ramcache ramcache; fi
`
}

const help = { name: 'help', summary: 'says more of a verb' }

function fish(verbs: readonly Verb[]): string {
  const lines = ['# Completion of ramcache for fish: ramcache completion fish | source']
  for (const { name, summary } of [...verbs, help]) {
    lines.push(`complete -c ramcache -f -n __fish_use_subcommand -a ${name} -d ${quoted(summary)}`)
  }
  for (const { name, options } of verbs) {
    const seen = `-n '__fish_seen_subcommand_from ${name}'`
    for (const { name, short, takesValue, isPath } of options) {
      const value = takesValue ? (isPath ? ' -r -F' : ' -x') : ''
      lines.push(
        `complete -c ramcache ${seen} -l ${name}${short === undefined ? '' : ` -s ${short}`}${value}`,
      )
    }
  }
  lines.push(`complete -c ramcache -f -n '__fish_seen_subcommand_from completion' -a '${shells.join(' ')}'`)
  lines.push(
    `complete -c ramcache -f -n '__fish_seen_subcommand_from help' -a '${verbs.map(({ name }) => name).join(' ')}'`,
  )
  return `${lines.join('\n')}\n`
}

/** For zsh; what fish makes of it is the same as long as there is no quote inside. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
