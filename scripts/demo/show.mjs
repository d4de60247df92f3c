/** One daemon, several processes: shared reads, writes seen at once, a killed daemon that loses nothing. */
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { connect } from '../../dist/index.js'

const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const worker = fileURLToPath(new URL('./worker.mjs', import.meta.url))
const workers = 4
const entriesEach = 5000

export async function demo({ staysUp }) {
  const dir = mkdtempSync(join(tmpdir(), 'ramcache-demo-'))
  let daemon = await serve(dir)
  try {
    console.log(`\ndaemon ${daemon.pid} owns ${dir}\n`)
    const children = Array.from({ length: workers }, (_, number) =>
      fork(worker, [daemon.socket, String(number), String(workers), String(entriesEach)]),
    )
    const told = (child) => once(child, 'message').then(([message]) => message)
    await Promise.all(children.map(told))
    const before = children.map(told)
    for (const child of children) child.send('read')
    for (const { pid, reads, p50Ns, p99Ns, perSecond } of await Promise.all(before)) {
      console.log(
        `process ${pid}: ${reads} reads of what all wrote, ${perSecond} a second, p50 ${p50Ns} ns, p99 ${p99Ns} ns`,
      )
    }
    const counter = await connect(daemon.socket)
    const counts = children.map(told)
    for (const child of children) child.send('count')
    await Promise.all(counts)
    console.log(`\n${workers} processes counted to ${await counter.get('counter')} together`)
    daemon.process.kill('SIGKILL')
    await once(daemon.process, 'exit')
    console.log(`daemon ${daemon.pid} was killed; memory still says ${counter.getSync('counter')}`)
    daemon = await serve(dir)
    const value = await counter.incr('counter')
    console.log(`daemon ${daemon.pid} has taken its memory over, and counts on: ${value}\n`)
    await counter.close()
    for (const child of children) child.kill()
    if (value !== workers * 1000 + 1) throw new Error(`the count is ${value}`)
    await run(['stats', '--socket', daemon.socket])
    if (!staysUp) return 0
    console.log(
      `\nredis-cli -s ${daemon.socket}\nnpx ramcache stats --watch 1 -s ${daemon.socket}\n\nCtrl-C stops it.`,
    )
    await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM'), once(daemon.process, 'exit')])
    return 0
  } finally {
    daemon.process.kill('SIGTERM')
    if (daemon.process.exitCode === null) await once(daemon.process, 'exit')
    rmSync(dir, { recursive: true, force: true })
  }
}

async function serve(dir) {
  const child = spawn(process.execPath, [cli, 'serve', '--dir', dir, '--memory', '64mb', '--log', 'error'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    // Ctrl-C is for this process, which stops it in order.
    detached: true,
  })
  for await (const line of createInterface(child.stdout)) {
    const [, socket] = /^ready unix:\/\/(.+)$/.exec(line) ?? []
    if (socket !== undefined) return { process: child, pid: child.pid, socket }
  }
  throw new Error('the daemon did not start')
}

async function run(args) {
  const child = spawn(process.execPath, [cli, ...args], { stdio: 'inherit' })
  const [code] = await once(child, 'exit')
  if (code !== 0) throw new Error(`ramcache ${args[0]} ended with ${code}`)
}
