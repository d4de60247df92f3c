/** Reads the whole index in each folder of `argv[2]`, which may be damaged; prints a word about each, from `argv[4]` on. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { LogIndex } from '../../../dist/tiers/log-index.js'

const [, , parent, count, first] = process.argv
for (const name of readdirSync(parent).sort().slice(Number(first)))
  console.log(await read(join(parent, name)))

async function read(dir) {
  try {
    const index = await LogIndex.open(dir, { verify: true })
    const { file } = index.position()
    if (file === 0 && index.count().entries === 0) return 'empty'
    const keys = Array.from({ length: Number(count) }, (_, n) => Buffer.from(`\0\u0001key ${n}`))
    const isRight = (row, n) =>
      row?.file === file && row.offset === n && row.bytes === 7 && row.clock === BigInt(file)
    if (!index.findMany(keys).every(isRight)) return 'wrong rows'
    let seen = 0
    let from
    do {
      const page = index.scan(Buffer.alloc(0), from, 500)
      seen += page.rows.length
      from = page.next
    } while (from !== undefined)
    if (seen !== Number(count) || index.count().entries !== seen) return 'wrong count'
    await index.commit(Buffer.alloc(0), { file: file + 1, offset: 0 })
    await index.close()
    return 'right'
  } catch (error) {
    return error.code ?? `no code: ${error.stack}`
  }
}
