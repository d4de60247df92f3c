/**
 * `npm start`: builds what is out of date, shows what the daemon does for several processes (`npm run demo` is that part
 * alone), and leaves it running for redis-cli and the `ramcache` verbs until it is interrupted.
 */
import { main, root, setUp } from './setup.mjs'

await main(async (args) => {
  await setUp()
  const { demo } = await import(`${root}/scripts/demo/show.mjs`)
  return demo({ staysUp: !args.includes('--once') })
})
