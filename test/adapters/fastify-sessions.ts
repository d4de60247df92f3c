/** @fastify/session without fastify: its hooks are called as fastify calls them, by a request that does one thing. */
import fastifySession from '@fastify/session'

interface Session {
  get(name: string): unknown
  set(name: string, value: unknown): void
  regenerate(keep: string[]): Promise<void>
  destroy(): Promise<void>
}

interface Request {
  readonly raw: { readonly url: string }
  readonly cookies: Record<string, string>
  readonly protocol: string
  session?: Session
}

type Hook = (...args: unknown[]) => void

/** What a cookie holds is the id as it is. */
const signer = {
  sign: (id: string) => id,
  unsign: (value: string) => ({ valid: true, renew: false, value }),
}

export class FastifySessions {
  readonly #hooks: Record<string, Hook> = {}

  constructor(store: unknown, cookie: { maxAge: number }) {
    const host = {
      decorate: () => {},
      decorateRequest: () => {},
      addHook: (name: string, hook: Hook) => {
        this.#hooks[name] = hook
      },
    }
    const options = { store, secret: signer, saveUninitialized: false, cookie: { secure: false, ...cookie } }
    const plugin = fastifySession as unknown as (host: unknown, options: unknown, next: () => void) => void
    plugin(host, options, () => {})
  }

  async request<Result>(
    cookie: string,
    act: (session: Session) => Result | Promise<Result>,
  ): Promise<{ cookie: string; result: Result }> {
    const request: Request = {
      raw: { url: '/' },
      protocol: 'http',
      cookies: cookie === '' ? {} : { sessionId: cookie },
    }
    let given = cookie
    const reply = {
      setCookie: (_: string, value: string) => {
        given = value
      },
      clearCookie: () => {},
    }
    await this.#run('onRequest', request, reply)
    const result = await act(request.session as Session)
    await this.#run('onSend', request, reply, '')
    return { cookie: given, result }
  }

  #run(name: string, ...args: unknown[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#hooks[name]?.(...args, (error?: unknown) => (error ? reject(error) : resolve()))
    })
  }
}
