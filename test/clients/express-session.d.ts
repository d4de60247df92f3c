/** What the tests use of express-session, which has no types of its own. */
declare module 'express-session' {
  import { EventEmitter } from 'node:events'
  import type { IncomingMessage, ServerResponse } from 'node:http'

  function session(
    options: session.SessionOptions,
  ): (
    request: IncomingMessage & { session?: session.Session },
    response: ServerResponse,
    next: (error?: unknown) => void,
  ) => void
  namespace session {
    interface SessionData {
      cookie: { originalMaxAge: number | null; expires?: Date | null; maxAge?: number | null }
      [name: string]: unknown
    }
    type Done = (error?: unknown) => void
    interface Session extends SessionData {
      id: string
      destroy(done: Done): void
      regenerate(done: Done): void
      reload(done: Done): void
    }
    abstract class Store extends EventEmitter {
      abstract get(sid: string, callback: (error: unknown, session?: SessionData | null) => void): void
      abstract set(sid: string, session: SessionData, callback?: Done): void
      abstract destroy(sid: string, callback?: Done): void
    }
    interface SessionOptions {
      readonly store: Store
      readonly secret: string
      readonly resave: boolean
      readonly saveUninitialized: boolean
      readonly rolling?: boolean
      readonly cookie: { readonly maxAge?: number }
    }
  }
  export = session
}
