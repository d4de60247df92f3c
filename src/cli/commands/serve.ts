/** `ramcache serve`: the daemon, in the foreground. */
import { type ConfigSources, type DaemonConfig, type LogLevel, loadConfig } from '../../config/config-file.ts'
import { Daemon } from '../../daemon/serve.ts'
import type { Command, OptionValues } from '../command.ts'
import { CliError, type CliIo, usageError } from '../command.ts'
import { ExitCode } from '../exit-codes.ts'
import { foreseen, text } from '../offline.ts'

/** Flags, and the key of the configuration that each gives. */
const flagKeys = {
  dir: 'dir',
  socket: 'listen',
  memory: 'memory',
  ssd: 'tiers.ssd.path',
  hdd: 'tiers.hdd.path',
  'socket-group': 'socketGroup',
  host: 'tcp.host',
  port: 'tcp.port',
  'password-file': 'tcp.passwordFile',
  'tls-cert': 'tcp.tls.cert',
  'tls-key': 'tcp.tls.key',
  'tls-ca': 'tcp.tls.ca',
  metrics: 'metrics',
  log: 'log',
} as const

/** Of the interface, but not of this version. */
const laterFlags = [
  'peer-listen',
  'peer',
  'peer-key-file',
  'peer-cert',
  'peer-cert-key',
  'peer-ca',
  'nats',
] as const

const levels: readonly LogLevel[] = ['error', 'warn', 'info']

export const CONFIG_OPTIONS = {
  dir: { type: 'string', short: 'd' },
  socket: { type: 'string', short: 's' },
  memory: { type: 'string' },
  ssd: { type: 'string' },
  hdd: { type: 'string' },
  'socket-group': { type: 'string' },
  host: { type: 'string' },
  port: { type: 'string' },
  'password-file': { type: 'string' },
  'tls-cert': { type: 'string' },
  'tls-key': { type: 'string' },
  'tls-ca': { type: 'string' },
  metrics: { type: 'string' },
  log: { type: 'string' },
  config: { type: 'string' },
} as const

export const serveCommand: Command = {
  name: 'serve',
  help: `usage: ramcache serve [-d DIR] [options]

Owns the store of a directory and serves it on a Unix socket, to Redis clients and to connect(). Stays in the foreground;
prints one line, ready unix://PATH, when clients can connect. SIGTERM and SIGINT stop it: what was written is brought
to disk first. A second one ends it at once. SIGHUP reads the configuration again: memory, the
password and certificates change, the rest is named.

  -d, --dir DIR          directory of the store
  -s, --socket PATH      where it listens; by default DIR/ramcache.sock
  --socket-group GROUP   whose members may connect too; by default only this user
  --port N               listens over TCP too, at --host (127.0.0.1); needs --password-file, --tls-ca, or both
  --password-file FILE   has the password in its only line
  --tls-cert, --tls-key FILE   certificate (with those between it and its root) and key, PEM: over TCP it speaks TLS
  --tls-ca FILE          clients need a certificate that one of these vouches for
  --memory SIZE          RAM for everything it holds (512mb, 4gb); by default a third of what there is
  --ssd PATH             directory of the SSD tier; by default DIR/ssd
  --hdd PATH             directory of the HDD tier; by default there is none
  --metrics HOST:PORT    GET /metrics answers Prometheus text there
  --log LEVEL            error, warn or info, which is the default
  --config FILE          JSON with comments; by default RAMCACHE_CONFIG, ./ramcache.json, /etc/ramcache/ramcache.json

A flag counts more than the environment (RAMCACHE_DIR, _SOCKET, _MEMORY, _PASSWORD_FILE, _LOG), and that more than the file.
`,
  options: {
    ...CONFIG_OPTIONS,
    ...Object.fromEntries(laterFlags.map((flag) => [flag, { type: 'string', multiple: true } as const])),
  },
  async run(positionals, values, io) {
    if (positionals.length > 0) throw usageError(`it takes no arguments, not ${positionals.join(' ')}`)
    for (const flag of laterFlags) {
      if (values[flag] !== undefined) throw usageError(`--${flag} is not supported by this version`)
    }
    return foreseen(io, () => serve(values, io))
  },
}

/** What flags, environment and file say together. */
export function configOf(values: OptionValues, io: CliIo): DaemonConfig {
  return loadConfig(sourcesOf(values, io))
}

export function sourcesOf(values: OptionValues, io: CliIo): ConfigSources {
  const flags = new Map<string, { value: string; flag: string }>()
  for (const [flag, key] of Object.entries(flagKeys)) {
    const value = text(values[flag])
    if (value !== undefined)
      flags.set(key, { value: key === 'listen' ? pathOf(value) : value, flag: `--${flag}` })
  }
  return { flags, env: io.env, file: text(values.config) }
}

function pathOf(socket: string): string {
  return socket.startsWith('unix://') ? socket.slice('unix://'.length) : socket
}

async function serve(values: OptionValues, io: CliIo): Promise<ExitCode> {
  let config = configOf(values, io)
  const say = (level: LogLevel, message: string) => {
    if (levels.indexOf(level) <= levels.indexOf(config.log)) io.stderr.write(`ramcache: ${message}\n`)
  }
  const stop = new Promise<void>((resolve) => {
    process.once('SIGTERM', () => resolve())
    io.signal?.addEventListener('abort', () => resolve())
  })
  let daemon: Daemon | undefined
  const reload = () => {
    try {
      const next = configOf(values, io)
      daemon?.reload(next)
      config = next
    } catch (error) {
      say('error', `the configuration was not read again: ${(error as Error).message}`)
    }
  }
  // Before anybody is told that it is ready: until then the signal would end the process.
  process.on('SIGHUP', reload)
  daemon = await Daemon.start(config, {
    ready: (line) => io.stdout.write(`${line}\n`),
    say,
    notifySocket: io.env.NOTIFY_SOCKET,
  })
  // The store alone does not keep a process.
  const alive = setInterval(() => {}, 2 ** 30)
  try {
    await stop
  } finally {
    clearInterval(alive)
    process.off('SIGHUP', reload)
    process.once('SIGTERM', () => process.exit(ExitCode.interrupted))
  }
  say('info', 'stopping')
  try {
    await daemon.stop()
  } catch (error) {
    throw new CliError(ExitCode.io, `stopped, but not everything is on disk: ${(error as Error).message}`)
  }
  return ExitCode.done
}
