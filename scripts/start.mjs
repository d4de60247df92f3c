/** `npm start -- ARGS`: builds what is out of date, then replays traces (`ramcache replay ARGS`). */
import { main, root, run, setUp } from './setup.mjs'

await main(async (args) => {
  await setUp()
  return run(process.execPath, [`${root}/dist/cli/main.js`, 'replay', ...args], { cwd: process.cwd() })
})
