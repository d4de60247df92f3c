/** As much of express as the tests use; it comes without types. */
declare module 'express' {
  import type { IncomingMessage, Server, ServerResponse } from 'node:http'

  export interface Request extends IncomingMessage {
    readonly params: Record<string, string>
  }
  export interface Response extends ServerResponse {
    status(code: number): this
  }
  export type NextFunction = (error?: unknown) => void
  export type RequestHandler = (request: Request, response: Response, next: NextFunction) => unknown

  export default function express(): {
    use(handler: RequestHandler): void
    get(path: string, handler: RequestHandler): void
    listen(port: number): Server
  }
}
