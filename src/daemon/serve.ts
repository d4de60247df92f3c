/**
 * A daemon: owns a store, listens on its socket, and stops in bounded time when it is told to. Everything that clients
 * do goes past this file: it starts, reloads and stops.
 */
import { resolve } from 'node:path'
import { changeCredentials, resizeStore, socketOf, tcpAddressOf } from '../cache/internal.ts'
import { open } from '../cache/open.ts'
import type { Cache } from '../cache/types.ts'
import type { DaemonConfig, LogLevel } from '../config/config-file.ts'
import { binding } from '../native/binding.ts'
import { MetricsServer } from './metrics-server.ts'
import { giveToGroup } from './socket-group.ts'
import { readTcp, warningsOf } from './tcp.ts'

export interface DaemonIo {
  /** One line when clients can connect. */
  ready(line: string): void
  /** A message for the operator. */
  say(level: LogLevel, message: string): void
  /** Socket of the service manager that started this process and waits for word of it. */
  readonly notifySocket: string | undefined
}

export class Daemon {
  readonly #io: DaemonIo
  readonly #cache: Cache
  readonly #metrics: MetricsServer | undefined
  #config: DaemonConfig
  #stopped: Promise<void> | undefined

  /** Rejects with what `open` does, and when the socket or the endpoint of the metrics is not to be had. */
  static async start(config: DaemonConfig, io: DaemonIo): Promise<Daemon> {
    // A client's word counts as that of an operator: whoever hears the signal ends in the same way.
    const onShutdown = () => process.kill(process.pid, 'SIGTERM')
    const tcp = config.tcp && readTcp(config.tcp)
    const __internal = { isDaemon: true, onShutdown, ...(tcp === undefined ? {} : { tcp }) }
    const cache = await open({ ...config.open, __internal } as typeof config.open)
    try {
      const socket = socketOf(cache) as string
      if (config.socketGroup !== undefined) giveToGroup(socket, config.socketGroup)
      const metrics =
        config.metrics === undefined
          ? undefined
          : await MetricsServer.start(config.metrics, () => cache.stats())
      for (const warning of warningsOf(config.tcp)) io.say('warn', warning)
      if (tcp !== undefined) io.say('info', `tcp on ${tcpAddressOf(cache)}`)
      if (metrics !== undefined) io.say('info', `metrics on port ${metrics.port}`)
      io.ready(`ready unix://${socket}`)
      const daemon = new Daemon(config, io, cache, metrics)
      daemon.#notify('READY=1')
      return daemon
    } catch (error) {
      await cache.close()
      throw error
    }
  }

  private constructor(config: DaemonConfig, io: DaemonIo, cache: Cache, metrics: MetricsServer | undefined) {
    this.#config = config
    this.#io = io
    this.#cache = cache
    this.#metrics = metrics
  }

  /** Takes over what can change while it runs, and says what cannot. */
  reload(next: DaemonConfig): void {
    this.#notify('RELOADING=1')
    const { memoryBytes } = next.validated
    if (memoryBytes !== this.#config.validated.memoryBytes) {
      resizeStore(this.#cache, memoryBytes)
      this.#io.say('info', `memory is ${memoryBytes} bytes now`)
    }
    if (this.#config.tcp !== undefined && next.tcp !== undefined)
      changeCredentials(this.#cache, readTcp(next.tcp))
    for (const key of changedKeys(this.#config, next)) {
      if (key !== 'memory') this.#io.say('warn', `${key} has changed: it counts after a restart`)
    }
    this.#config = next
    this.#notify('READY=1')
  }

  /** Brings everything to disk and lets go of the store; whoever calls it again waits for the same end. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  /** As `sd_notify(3)` says: one datagram for each change of state. */
  #notify(state: string): void {
    const { notifySocket } = this.#io
    if (notifySocket === undefined) return
    try {
      binding().sendDatagram(notifySocket, state)
    } catch (error) {
      this.#io.say('warn', (error as Error).message)
    }
  }

  async #stop(): Promise<void> {
    this.#notify('STOPPING=1')
    await this.#metrics?.close()
    await this.#cache.close()
  }
}

function changedKeys(before: DaemonConfig, after: DaemonConfig): string[] {
  const keys = new Set([...before.settings.keys(), ...after.settings.keys()])
  const text = (config: DaemonConfig, key: string) => {
    const value = config.settings.get(key)?.value
    return JSON.stringify(key === 'dir' && typeof value === 'string' ? resolve(value) : value)
  }
  return [...keys].filter((key) => text(before, key) !== text(after, key))
}
