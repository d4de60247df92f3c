/** What is used of memjs, which brings no types. */
declare module 'memjs' {
  export class Client {
    static create(servers: string): Client
    get(key: string): Promise<{ value: Buffer | null }>
    set(key: string, value: string, options: { expires: number }): Promise<boolean>
    close(): void
  }
}
