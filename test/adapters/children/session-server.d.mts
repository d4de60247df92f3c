import type { Server } from 'node:http'
import type { Store } from 'express-session'

export function serveSessions(store: Store, cookie: { maxAge?: number }): Promise<Server>
