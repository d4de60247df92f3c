/**
 * `npm run replay -- ARGS`: builds what is out of date, then replays traces (`ramcache replay ARGS`). Without arguments it
 * prints the table for 1, 10 and 30 % and draws the curves into `replay-curves.svg`.
 */
import { main, root, run, setUp } from './setup.mjs'

const defaults = ['--sizes', '1,10,30', '--svg', 'replay-curves.svg']

await main(async (args) => {
  await setUp()
  const replay = [`${root}/dist/cli/main.js`, 'replay', ...(args.length > 0 ? args : defaults)]
  return run(process.execPath, replay, { cwd: process.cwd() })
})
