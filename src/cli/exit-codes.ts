/** Exit codes: grep's three and those of sysexits.h. Scripts depend on them; none changes its meaning. */
export const ExitCode = {
  done: 0,
  /** A miss, problems found: the command worked, the answer is no. */
  negative: 1,
  usage: 2,
  unavailable: 69,
  io: 74,
  timedOut: 75,
  noPermission: 77,
  configuration: 78,
  interrupted: 130,
} as const

export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode]
