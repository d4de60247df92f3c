/**
 * The configuration of a daemon: flags over environment over file over defaults, with the origin of each value. The file
 * is JSON with comments; `schema/ramcache.schema.json` describes it for editors. Its keys are the options of `open()`,
 * and those of `daemonKeys`; every one is checked before anything is started.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { applyEdits, modify, type ParseError, parse, printParseErrorCode } from 'jsonc-parser'
import { show } from '../base/errors.ts'
import { checkFields, configError } from './fields.ts'
import { type ValidatedOpen, validateOpen } from './open-options.ts'
import type { OpenOptions } from './options.ts'
import { type ValidatedTcp, validateTcp } from './tcp-options.ts'

export const configFileName = 'ramcache.json'
/** Where the system keeps the one of its daemon. */
const systemFile = `/etc/ramcache/${configFileName}`

const openKeys = ['dir', 'memory', 'tiers', 'namespaces', 'listen'] as const
/** Keys that `open()` does not have. */
const daemonKeys = ['socketGroup', 'tcp', 'metrics', 'log'] as const
const keys = [...openKeys, ...daemonKeys]
const later = ['peers', 'acl'] as const
const logLevels = ['error', 'warn', 'info'] as const

export type LogLevel = (typeof logLevels)[number]

/** Variables of the environment, by the key that each sets. */
const variables: Readonly<Record<string, string>> = {
  dir: 'RAMCACHE_DIR',
  memory: 'RAMCACHE_MEMORY',
  listen: 'RAMCACHE_SOCKET',
  log: 'RAMCACHE_LOG',
}
/** Clients have it too: it says nothing to a daemon that does not listen over TCP. */
const passwordVariable = 'RAMCACHE_PASSWORD_FILE'

/** Values of keys that are not given anywhere; `dir` has none. */
const defaults: Readonly<Record<string, unknown>> = { memory: 'auto', log: 'info' }

/** A value and where it comes from, in words: `flag --memory`, `RAMCACHE_MEMORY`, a path, `default`. */
export interface Setting {
  readonly value: unknown
  readonly origin: string
}

export interface DaemonConfig {
  /** By dotted key: `tiers.ssd.path`. */
  readonly settings: ReadonlyMap<string, Setting>
  readonly open: OpenOptions & { readonly dir: string }
  readonly validated: ValidatedOpen
  readonly socketGroup: string | undefined
  readonly tcp: ValidatedTcp | undefined
  readonly metrics: { readonly host: string; readonly port: number } | undefined
  readonly log: LogLevel
  readonly file: string | undefined
}

export interface ConfigSources {
  /** Values by dotted key, and the flag that gave each. */
  readonly flags: ReadonlyMap<string, { readonly value: string; readonly flag: string }>
  readonly env: Readonly<Record<string, string | undefined>>
  /** Path of the file, if one was named. */
  readonly file?: string | undefined
  readonly cwd?: string
}

/** Throws ERR_RAMCACHE_CONFIG, naming file, key, value and limit. */
export function loadConfig(sources: ConfigSources): DaemonConfig {
  const file = findFile(sources)
  const settings = new Map<string, Setting>()
  for (const [key, value] of Object.entries(defaults)) settings.set(key, { value, origin: 'default' })
  if (file !== undefined) {
    for (const [key, value] of leaves(readConfigFile(file))) settings.set(key, { value, origin: file })
  }
  for (const [key, name] of Object.entries(variables)) {
    const value = sources.env[name]
    if (value !== undefined && value !== '') settings.set(key, { value, origin: name })
  }
  const isTcp = settings.has('tcp.port') || sources.flags.has('tcp.port')
  const passwordFile = sources.env[passwordVariable]
  if (isTcp && passwordFile)
    settings.set('tcp.passwordFile', { value: passwordFile, origin: passwordVariable })
  for (const [key, { value, flag }] of sources.flags) settings.set(key, { value, origin: `flag ${flag}` })
  return { ...checked(settings), settings, file }
}

/** The values of a file, its keys checked. Throws ERR_RAMCACHE_CONFIG. */
export function readConfigFile(path: string): Record<string, unknown> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw configError(`the configuration cannot be read: ${(error as Error).message}`, error)
  }
  const errors: ParseError[] = []
  const found: unknown = parse(text, errors, { allowTrailingComma: true })
  const [first] = errors
  if (first !== undefined) {
    const before = text.slice(0, first.offset).split('\n')
    const at = `line ${before.length}, column ${(before.at(-1) as string).length + 1}`
    throw configError(`${path} is not JSON with comments: ${printParseErrorCode(first.error)} at ${at}`)
  }
  checkFields(found, path, keys, later, ['$schema'])
  const { $schema: _, ...values } = found
  return values
}

/** The text of a file with one value changed, comments and order kept; `undefined` removes the key. */
export function changedConfig(text: string, key: string, value: unknown): string {
  const formattingOptions = { insertSpaces: true, tabSize: 2, eol: '\n' }
  const base = text.trim() === '' ? '{}\n' : text
  return applyEdits(base, modify(base, key.split('.'), value, { formattingOptions }))
}

function findFile({ file, env, cwd = process.cwd() }: ConfigSources): string | undefined {
  const named = file ?? env.RAMCACHE_CONFIG
  if (named !== undefined && named !== '') return resolve(cwd, named)
  return [join(cwd, configFileName), systemFile].find((path) => existsSync(path))
}

function checked(settings: ReadonlyMap<string, Setting>): Omit<DaemonConfig, 'settings' | 'file'> {
  const values: Record<string, unknown> = {}
  for (const [key, { value }] of settings) put(values, key.split('.'), value)
  const { socketGroup, tcp, metrics, log, ...open } = values
  if (open.dir === undefined) {
    throw configError('which directory? give --dir, RAMCACHE_DIR or "dir" in the configuration file')
  }
  if (open.listen === false) throw configError('listen is false: a daemon that nobody can reach')
  const validated = validateOpen(open)
  return {
    open: open as unknown as OpenOptions & { dir: string },
    validated,
    socketGroup: checkText(socketGroup, 'socketGroup'),
    tcp: validateTcp(tcp),
    metrics: metrics === undefined ? undefined : hostPort(metrics),
    log: checkLog(log),
  }
}

function checkText(value: unknown, name: string): string | undefined {
  if (value === undefined || (typeof value === 'string' && value !== '')) return value
  throw configError(`${name} must be a non-empty string, not ${show(value)}`)
}

function checkLog(log: unknown): LogLevel {
  if (logLevels.includes(log as LogLevel)) return log as LogLevel
  throw configError(`log must be one of ${logLevels.join(', ')}, not ${show(log)}`)
}

/** `HOST:PORT`, `[V6]:PORT`. Port 0 takes a free one. */
function hostPort(value: unknown): { host: string; port: number } {
  const match = typeof value === 'string' ? /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(value) : null
  const port = Number(match?.[3])
  if (match === null || port > 65_535) {
    throw configError(`metrics must be HOST:PORT with a port up to 65535, not ${show(value)}`)
  }
  return { host: (match[1] ?? match[2]) as string, port }
}

/** Values by dotted key. Settings of namespaces are one value each, for their names may have dots. */
function* leaves(values: Record<string, unknown>, prefix = ''): Generator<[string, unknown]> {
  for (const [name, value] of Object.entries(values)) {
    const key = prefix + name
    const isGroup = typeof value === 'object' && value !== null && !Array.isArray(value)
    if (isGroup && key !== 'namespaces' && Object.keys(value).length > 0) {
      yield* leaves(value as Record<string, unknown>, `${key}.`)
    } else yield [key, value]
  }
}

function put(values: Record<string, unknown>, [name, ...rest]: string[], value: unknown): void {
  if (name === undefined) return
  if (rest.length === 0) {
    values[name] = value
    return
  }
  const inner = values[name]
  const group = typeof inner === 'object' && inner !== null ? (inner as Record<string, unknown>) : {}
  values[name] = group
  put(group, rest, value)
}
