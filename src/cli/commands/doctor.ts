/** `ramcache doctor`: what is wrong with a directory, and what to do. */
import { type DoctorReport, doctor } from '../../keep.ts'
import type { Command } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { checkCount, DIRECTORY_HELP, DIRECTORY_OPTIONS, directoryOf, foreseen, tiersOf } from '../offline.ts'

/** Of a finding. */
const filesShown = 10

export const doctorCommand: Command = {
  name: 'doctor',
  help: `usage: ramcache doctor -d DIR [--recover]

What a dead owner has left, whether log and index are whole, what room there is, and what to do; exit code 1 while there
is a problem. With --recover it does what cannot lose anything, and says what it has done.

${DIRECTORY_HELP}  --recover        take over what a dead owner has left, make a damaged index anew, remove empty leftovers
  --json           all of it as one object
`,
  options: { ...DIRECTORY_OPTIONS, recover: { type: 'boolean' } },
  async run(positionals, values, io) {
    checkCount(positionals, 0, 0, 'no arguments')
    const dir = directoryOf(values, io)
    const signal = io.signal === undefined ? {} : { signal: io.signal }
    const options = { ...tiersOf(values), ...signal, recover: values.recover === true }
    const report = await foreseen(io, () => doctor(dir, options))
    io.stdout.write(values.json === true ? `${JSON.stringify(report)}\n` : describe(report))
    return report.isHealthy ? ExitCode.done : ExitCode.negative
  },
}

function describe({ findings, done, isHealthy }: DoctorReport): string {
  const lines = [
    ...done.map((what) => `done: ${what}`),
    ...findings.flatMap(({ level, code, message, advice, files = [] }) => [
      `${level} ${code}: ${message}`,
      ...(advice === undefined ? [] : [`  ${advice}`]),
      ...files.slice(0, filesShown).map((file) => `    ${file}`),
      ...(files.length > filesShown
        ? [`    ... and ${files.length - filesShown} more (--json has all)`]
        : []),
    ]),
    isHealthy ? 'healthy' : 'not healthy',
  ]
  return `${lines.join('\n')}\n`
}
