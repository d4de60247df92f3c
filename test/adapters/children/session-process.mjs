/** `session-process.mjs SOCKET`: the web server with sessions, connected to a store; says its port. */
import session from 'express-session'
import { storeFor } from '../../../dist/adapters/session.js'
import { connect } from '../../../dist/index.js'
import { serveSessions } from './session-server.mjs'

const Store = storeFor(session)
const cache = await connect(process.argv[2])
const server = await serveSessions(new Store(cache), { maxAge: 60_000 })
process.send({ value: server.address().port })
