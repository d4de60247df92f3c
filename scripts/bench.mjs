/** `npm run bench -- ARGS`: builds what is out of date, then runs the benchmarks; `--small` for a quick round. */
import { main, root, run, setUp, step, tools } from './setup.mjs'

await main(async (args) => {
  await setUp({ bench: true })
  await step(process.execPath, [tools.tsc, '-p', 'bench'])
  return run(process.execPath, [`${root}/bench/dist/main.js`, ...args])
})
