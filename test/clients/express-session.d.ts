/** What the tests use of express-session, which has no types of its own. */
declare module 'express-session' {
  import type { EventEmitter } from 'node:events'
  import type { IncomingMessage, ServerResponse } from 'node:http'

  export interface SessionData {
    cookie: { originalMaxAge: number | null; expires?: Date | null }
    [name: string]: unknown
  }
  export class Store extends EventEmitter {}
  export interface SessionOptions {
    readonly store: Store
    readonly secret: string
    readonly resave: boolean
    readonly saveUninitialized: boolean
    readonly cookie: { readonly maxAge: number }
  }
  export default function session(
    options: SessionOptions,
  ): (
    request: IncomingMessage & { session?: SessionData & { destroy(done: (error?: unknown) => void): void } },
    response: ServerResponse,
    next: (error?: unknown) => void,
  ) => void
}
