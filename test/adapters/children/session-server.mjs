/** A small web server with sessions, for the tests and for a process of its own. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import session from 'express-session'

/** What it does for a path, given the request; what it returns is the answer. */
const pages = {
  '/login': (request) => change(request, 'regenerate').then(() => signIn(request)),
  '/visit': ({ session }) => {
    session.visits = (session.visits ?? 0) + 1
    return session
  },
  '/look': ({ session }) => session,
  '/reload': async (request) => {
    request.session.visits = -1
    await change(request, 'reload')
    return request.session
  },
  '/leave': (request) => change(request, 'destroy').then(() => 'gone'),
}

function signIn(request) {
  request.session.user = 'Ada'
  return request.session
}

function change(request, method) {
  return new Promise((resolve, reject) => {
    request.session[method]((error) => (error ? reject(error) : resolve()))
  })
}

export async function serveSessions(store, cookie) {
  const handle = session({ store, secret: 'secret', resave: false, saveUninitialized: false, cookie })
  const server = createServer({ keepAlive: false }, (request, response) => {
    handle(request, response, async (error) => {
      try {
        if (error) throw error
        response.end(JSON.stringify(await pages[request.url](request)))
      } catch (caught) {
        response.statusCode = 500
        response.end(JSON.stringify(caught.code ?? caught.message))
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}
