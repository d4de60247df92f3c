/** Reads the whole tier in each folder of `argv[2]`, which may be damaged; prints a word about each, from `argv[4]` on. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { HddTier } from '../../../dist/tiers/hdd.js'

const [, , parent, count, first] = process.argv
for (const name of readdirSync(parent).sort().slice(Number(first)))
  console.log(await read(join(parent, name)))

async function read(dir) {
  try {
    const tier = new HddTier(dir)
    await tier.open()
    let word = 'right'
    const all = await tier.load(
      Array.from({ length: Number(count) }, (_, n) => Buffer.from(`\0\u0001key ${n}`)),
    )
    for (const [n, found] of all.entries()) {
      if (found === undefined) word = 'missing'
      else if (found.record.toString() !== `${found.version} ${n} ${'x'.repeat(n % 200)}`)
        return 'wrong record'
      else if (found.version !== 3n && word === 'right') word = 'older'
    }
    let from
    do {
      const page = await tier.scan(Buffer.alloc(0), from, 500)
      from = page.next
    } while (from !== undefined)
    await tier.close()
    return word
  } catch (error) {
    return error.code ?? `no code: ${error.stack}`
  }
}
