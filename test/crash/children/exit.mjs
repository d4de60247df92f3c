/** `exit.mjs DIR`: writes and ends without closing. `exit.mjs DIR read`: reads what was written, and closes. */
import { open } from '../../../dist/index.js'

const [dir, what] = process.argv.slice(2)
const textOf = (number) => `${number}:`.padEnd(1000, String(number))
const cache = await open({ dir, memory: '1mb' })
for (let number = 0; number < 3000; number++) {
  if (what !== 'read') await cache.set(`k${number}`, textOf(number))
  else if ((await cache.get(`k${number}`)) !== textOf(number)) throw new Error(`k${number} is wrong`)
}
if (what === 'read') await cache.close()
process.exit(0)
