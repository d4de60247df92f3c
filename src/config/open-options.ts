/**
 * Options of `open()` and `attach()`, and the one validator for them. Whoever opens a store (library, tools, tests)
 * comes through here, so a mistake gets the same message everywhere and nothing is silently ignored.
 */
import { join, resolve } from 'node:path'
import { show } from '../base/errors.ts'
import { parseDuration } from './duration.ts'
import { checkFields, configError, notSupported } from './fields.ts'
import { autoMemory, type MachineReader, machine } from './memory.ts'
import type { Durability, OnFull } from './options.ts'
import { parseSize } from './size.ts'

/** @internal Switches for tests and measuring tools; no part of the public contract. */
export interface InternalOptions {
  /** What the budget counts: `'payload'` counts keys and values only, as trace simulators do. */
  readonly counting?: 'payload' | 'everything'
  /** Directory for the shared memory files, in place of the system's. */
  readonly shmDir?: string
  /** `false`: no background thread; work is done in slices by the caller. */
  readonly background?: boolean
  /** `'manual'`: time stands still until it is advanced. */
  readonly clock?: 'manual'
  /** Bytes of a file of the value log. */
  readonly fileBytes?: number
  /** `false`: a start leaves what was in RAM where it is. */
  readonly warms?: boolean
  /** Budget of the SSD tier, below what `tiers.ssd.budget` takes. */
  readonly ssdBudgetBytes?: number
  /** Threads of the server, how long they look for work before they sleep, and limits other than the usual ones. */
  readonly serverThreads?: number
  readonly serverSpinUs?: number
  readonly serverLimits?: Readonly<Record<string, number>>
  /** Where the server listens beside its Unix socket. */
  readonly tcp?: ServerTcp
  /** The process is there for its clients only. */
  readonly isDaemon?: boolean
  readonly hddBudgetBytes?: number
  /** What a client's `SHUTDOWN` does: of a process that is there for its store alone. */
  readonly onShutdown?: () => void
}

/** @internal What a server listens with over TCP: contents of files, not their paths. */
export interface ServerTcp {
  readonly host: string
  readonly port: number
  readonly password?: Uint8Array
  /** PEM. */
  readonly tls?: { readonly cert: Uint8Array; readonly key: Uint8Array; readonly ca?: Uint8Array }
}

/** @internal */
export interface ValidatedNamespace {
  readonly ttlMs?: number
  readonly durability?: Durability
  readonly isFrozen?: boolean
  readonly onFull?: OnFull
  readonly pin?: boolean
  readonly quotaBytes?: number
}

/** @internal A tier on a disk; sizes in bytes. */
export interface ValidatedTier {
  readonly path: string
  /** Default: depends on the file system. */
  readonly floorBytes?: number | undefined
  readonly budgetBytes?: number | undefined
  /** Bytes in a second. */
  readonly ioBudget?: number | undefined
}

/** @internal */
export interface ValidatedOpen {
  readonly dir: string
  readonly memoryBytes: number
  /** Without it everything stays in RAM. */
  readonly ssd?: ValidatedTier
  readonly hdd?: ValidatedTier
  readonly namespaces: Record<string, ValidatedNamespace>
  /** Path of the socket; `undefined` is the usual one, `false` none. */
  readonly listen: string | false | undefined
  readonly nearEntries: number
  readonly isFrozen: boolean
  /** How long a joined process waits for an owner. */
  readonly ownerTimeoutMs: number
  readonly internal?: InternalOptions
}

/** @internal */
export interface ValidatedAttach {
  readonly dir: string
  readonly nearEntries: number
  readonly isFrozen: boolean
}

/** Below this, segments would be too small to hold ordinary values. */
export const memoryBytesMin = 512 * 1024
/** 256 GiB: 65,536 segments of 4 MiB, what the locations in the index can address. */
export const memoryBytesMax = 256 * 1024 ** 3
const dirBytesMax = 4095

const openFields = [
  'dir',
  'memory',
  'tiers',
  'namespaces',
  'nearEntries',
  'frozen',
  'listen',
  'ownerTimeout',
] as const
const openLater = ['peers', 'tcp', 'metrics', 'acl'] as const
const namespaceLater = ['policy', 'replicate', 'keep', 'onPartition', 'staleAfterMs', 'compression'] as const

/** @internal Throws ERR_RAMCACHE_CONFIG; otherwise every default is filled in, in bytes and milliseconds. */
export function validateOpen(options: unknown, reader: MachineReader = machine): ValidatedOpen {
  checkFields(options, 'open()', openFields, openLater, ['__internal'])
  const { dir, memory, tiers, namespaces, nearEntries, frozen, listen, __internal: internal } = options
  const storeDir = validateDir(dir, 'open()')
  const disks = validateTiers(tiers, storeDir)
  const validated = {
    dir: storeDir,
    memoryBytes: validateMemory(memory, reader),
    ...disks,
    namespaces: validateNamespaces(namespaces, disks.ssd !== undefined),
    listen: validateListen(listen),
    nearEntries: validateNearEntries(nearEntries),
    isFrozen: checkFrozen(frozen, 'open()') ?? false,
    ownerTimeoutMs: validateOwnerTimeout(options.ownerTimeout, 'open()'),
  }
  return internal === undefined ? validated : { ...validated, internal: internal as InternalOptions }
}

/** Longest path of a socket: what the system's `sun_path` takes. */
export const socketBytesMax = 107

function validateListen(listen: unknown): string | false | undefined {
  if (listen === undefined || listen === false) return listen
  if (typeof listen !== 'string' || listen === '') {
    throw configError(`listen must be false or a path, not ${show(listen)}`)
  }
  const path = resolve(checkPath(listen, 'listen'))
  const bytes = Buffer.byteLength(path)
  if (bytes > socketBytesMax) {
    throw configError(
      `listen is ${bytes} bytes long, above the maximum of ${socketBytesMax} bytes of a socket: ${show(path)}`,
    )
  }
  return path
}

export function validateAttach(options: unknown): ValidatedAttach {
  checkFields(options, 'attach()', ['dir', 'nearEntries', 'frozen'])
  return {
    dir: validateDir(options.dir, 'attach()'),
    nearEntries: validateNearEntries(options.nearEntries),
    isFrozen: checkFrozen(options.frozen, 'attach()') ?? false,
  }
}

const nearEntriesDefault = 8192
const nearEntriesMax = 1_000_000

export function validateNearEntries(entries: unknown): number {
  if (entries === undefined) return nearEntriesDefault
  if (Number.isInteger(entries) && (entries as number) >= 0 && (entries as number) <= nearEntriesMax) {
    return entries as number
  }
  throw configError(`nearEntries must be a whole number from 0 to ${nearEntriesMax}, not ${show(entries)}`)
}

/** Long enough for another process to take over a store of some gigabytes. */
const ownerTimeoutMsUsual = 10_000
const ownerTimeoutMsMost = 3_600_000

/** @internal */
export function validateOwnerTimeout(timeout: unknown, where: string): number {
  if (timeout === undefined) return ownerTimeoutMsUsual
  return parseDuration(timeout, `ownerTimeout of ${where}`, { minMs: 0, maxMs: ownerTimeoutMsMost })
}

export function checkFrozen(frozen: unknown, where: string): boolean | undefined {
  if (frozen === undefined || typeof frozen === 'boolean') return frozen
  throw configError(`frozen of ${where} must be true or false, not ${show(frozen)}`)
}

function validateDir(dir: unknown, where: string): string {
  if (typeof dir === 'string' && dir !== '') return checkPath(dir, 'dir')
  throw configError(`${where} needs dir, the directory of the store, as a non-empty string, not ${show(dir)}`)
}

function checkPath(path: string, name: string): string {
  if (path.includes('\0')) throw configError(`${name} must not contain a zero byte: ${show(path)}`)
  const bytes = Buffer.byteLength(path)
  if (bytes > dirBytesMax) {
    throw configError(
      `${name} is ${bytes} bytes long, above the maximum of ${dirBytesMax} bytes: ${show(path)}`,
    )
  }
  return path
}

/** Less would hold a few files of the log only. */
const budgetMin = 16 * 1024 * 1024

/** A second of it is a slice or two of a drain. */
const ioBudgetMin = 1024 * 1024

function validateTiers(tiers: unknown, dir: string): { ssd?: ValidatedTier; hdd?: ValidatedTier } {
  const ssdDefault = { path: join(dir, 'ssd') }
  if (tiers === undefined) return { ssd: ssdDefault }
  checkFields(tiers, 'tiers', ['ssd', 'hdd'], ['remote'])
  const ssd = validateTier(tiers.ssd, 'tiers.ssd', ['path', 'floor', 'budget', 'ioBudget'], ssdDefault.path)
  const hdd = validateTier(tiers.hdd, 'tiers.hdd', ['path', 'floor', 'budget', 'ioBudget'])
  if (tiers.ssd === false) {
    if (hdd === undefined) return {}
    throw configError('tiers.hdd needs the SSD tier, which holds its index, and tiers.ssd is false')
  }
  return { ssd: ssd ?? ssdDefault, ...(hdd === undefined ? {} : { hdd }) }
}

function validateTier(
  tier: unknown,
  name: string,
  fields: readonly string[],
  pathDefault?: string,
): ValidatedTier | undefined {
  if (tier === undefined || tier === false) return undefined
  if (typeof tier !== 'object' || tier === null) {
    throw configError(`${name} must be false or an object, not ${show(tier)}`)
  }
  checkFields(tier, name, fields)
  const { path = pathDefault, floor, budget, ioBudget } = tier as Record<string, unknown>
  if (typeof path !== 'string' || path === '') {
    throw configError(`path of ${name} must be a non-empty string, not ${show(path)}`)
  }
  const most = Number.MAX_SAFE_INTEGER
  return {
    path: checkPath(path, `path of ${name}`),
    ...(floor === undefined ? {} : { floorBytes: parseSize(floor, `floor of ${name}`, 0, most) }),
    ...(budget === undefined ? {} : { budgetBytes: parseSize(budget, `budget of ${name}`, budgetMin, most) }),
    ...(ioBudget === undefined
      ? {}
      : { ioBudget: parseSize(ioBudget, `ioBudget of ${name}`, ioBudgetMin, most) }),
  }
}

function validateMemory(memory: unknown, reader: MachineReader): number {
  if (memory === undefined || memory === 'auto') return autoMemory(memoryBytesMin, reader)
  return parseSize(memory, 'memory', memoryBytesMin, memoryBytesMax)
}

function validateNamespaces(namespaces: unknown, hasTiers: boolean): Record<string, ValidatedNamespace> {
  // No prototype, so that a namespace may be called `__proto__` or `constructor`.
  const validated: Record<string, ValidatedNamespace> = Object.create(null)
  if (namespaces === undefined) return validated
  if (typeof namespaces !== 'object' || namespaces === null || Array.isArray(namespaces)) {
    throw configError(`namespaces must be an object of settings by name, not ${show(namespaces)}`)
  }
  for (const [name, options] of Object.entries(namespaces)) {
    const where = `namespaces.${name}`
    const settings = validateNamespace(options, where)
    checkHasTiers(settings.durability, hasTiers, where)
    checkCanRefuse(settings.onFull, hasTiers, where)
    validated[checkNamespaceName(name)] = settings
  }
  return validated
}

/** A few entries, and more than any machine has. */
const quotaBytesMin = 4096
const quotaBytesMax = 1024 ** 5

/** @internal The settings of one namespace, here and in `cache.namespace(name, options)`. */
export function validateNamespace(options: unknown, where: string): ValidatedNamespace {
  checkFields(
    options,
    where,
    ['ttl', 'durability', 'frozen', 'onFull', 'pin', 'quota', 'ack'],
    namespaceLater,
  )
  const durability = checkDurability(options.durability, where)
  checkAck(options.ack, where)
  const { ttl, onFull, pin, quota } = options
  const isFrozen = checkFrozen(options.frozen, where)
  if (pin !== undefined && typeof pin !== 'boolean') {
    throw configError(`pin of ${where} must be true or false, not ${show(pin)}`)
  }
  if (onFull !== undefined && onFull !== 'evict-coldest' && onFull !== 'error') {
    throw configError(`onFull of ${where} must be 'evict-coldest' or 'error', not ${show(onFull)}`)
  }
  return {
    ...(ttl === undefined ? {} : { ttlMs: parseDuration(ttl, `ttl of ${where}`) }),
    ...(durability === undefined ? {} : { durability }),
    ...(isFrozen === undefined ? {} : { isFrozen }),
    ...(onFull === undefined ? {} : { onFull }),
    ...(pin === undefined ? {} : { pin }),
    ...(quota === undefined
      ? {}
      : { quotaBytes: parseSize(quota, `quota of ${where}`, quotaBytesMin, quotaBytesMax) }),
  }
}

/** RAM alone always drops what is coldest. */
export function checkCanRefuse(onFull: OnFull | undefined, hasTiers: boolean, where: string): void {
  if (hasTiers || onFull !== 'error') return
  throw configError(
    `onFull 'error' of ${where} needs a disk, and this store has none: it was opened with tiers: { ssd: false }, where the coldest entries always leave`,
  )
}

export function checkDurability(durability: unknown, where: string): Durability | undefined {
  if (durability === undefined || durability === 'none') return durability
  if (durability === 'async' || durability === 'sync') return durability
  throw configError(`durability of ${where} must be 'none', 'async' or 'sync', not ${show(durability)}`)
}

/** Refuses to promise what a store in RAM alone cannot keep. */
export function checkHasTiers(durability: Durability | undefined, hasTiers: boolean, where: string): void {
  if (hasTiers || durability === undefined || durability === 'none') return
  throw configError(
    `durability ${show(durability)} of ${where} needs a disk, and this store has none: it was opened with tiers: { ssd: false }, where only 'none' can be kept`,
  )
}

/** `'local'` or nothing; the other levels of the contract need peers. */
export function checkAck(ack: unknown, where: string): void {
  if (ack === undefined || ack === 'local') return
  if (ack === 'all' || (typeof ack === 'object' && ack !== null && 'peers' in ack)) {
    throw notSupported(`ack ${ack === 'all' ? "'all'" : '{ peers }'} of ${where} (only 'local' is)`)
  }
  throw configError(`ack of ${where} must be 'local', 'all' or { peers }, not ${show(ack)}`)
}

/**
 * A namespace name is 1 to 64 visible ASCII characters. `/` joins the names of nested namespaces, so it may stand in
 * a full name (settings, statistics) but not at its ends or twice in a row.
 */
export function checkNamespaceName(name: unknown): string {
  if (typeof name !== 'string' || !/^[\x21-\x7e]{1,64}$/.test(name)) {
    throw configError(
      `a namespace name is 1 to 64 visible ASCII characters without spaces, not ${show(name)}${
        typeof name === 'string' && name.length > 64 ? ` (${name.length} characters)` : ''
      }`,
    )
  }
  if (/^\/|\/\/|\/$/.test(name)) {
    throw configError(`the parts of a namespace name, separated by '/', must not be empty: ${show(name)}`)
  }
  return name
}
