/** The metrics endpoint: `GET /metrics`, Prometheus text; nothing else. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Stats } from '../cache/types.ts'
import { prometheusText, prometheusType } from '../observe/prometheus.ts'

/** A scraper that is slower has gone away. */
const requestMs = 10_000

export class MetricsServer {
  readonly #server: Server

  /** Rejects with what the system says when it cannot listen there. */
  static async start(
    { host, port }: { readonly host: string; readonly port: number },
    stats: () => Promise<Stats>,
  ): Promise<MetricsServer> {
    const server = createServer((request, response) => {
      if (request.url !== '/metrics' || (request.method !== 'GET' && request.method !== 'HEAD')) {
        response.writeHead(404, { 'content-type': 'text/plain' }).end('GET /metrics\n')
        return
      }
      stats().then(
        (found) => response.writeHead(200, { 'content-type': prometheusType }).end(prometheusText(found)),
        (error: Error) => response.writeHead(503, { 'content-type': 'text/plain' }).end(`${error.message}\n`),
      )
    })
    server.requestTimeout = requestMs
    server.listen(port, host)
    await once(server, 'listening')
    return new MetricsServer(server)
  }

  private constructor(server: Server) {
    this.#server = server
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    if (this.#server.listening) await once(this.#server, 'close')
  }
}
