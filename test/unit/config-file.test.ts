/** The configuration of a daemon: where each value comes from, and what is refused, by name. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { changedConfig, loadConfig } from '../../src/config/config-file.ts'

let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ramcache-'))
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

function load(
  text: string | undefined,
  env: Record<string, string> = {},
  flags: Record<string, string> = {},
) {
  if (text !== undefined) writeFileSync(join(folder, 'ramcache.json'), text)
  const given = Object.entries(flags).map(([key, value]) => [key, { value, flag: `--${key}` }] as const)
  return loadConfig({ flags: new Map(given), env, cwd: folder })
}

describe('a value', () => {
  const file = `{
    // A comment.
    "dir": "/from/file", "memory": "64mb", /* another */
    "tiers": { "hdd": { "path": "/mnt/hdd", "floor": "1gb" }, },
  }`

  it('comes from the flag, else the environment, else the file, else the default', () => {
    const path = join(folder, 'ramcache.json')
    expect(load(file).settings.get('memory')).toEqual({ value: '64mb', origin: path })
    const env = { RAMCACHE_MEMORY: '128mb', RAMCACHE_DIR: '/from/env' }
    expect(load(file, env).settings.get('memory')).toEqual({ value: '128mb', origin: 'RAMCACHE_MEMORY' })
    const both = load(file, env, { memory: '256mb' })
    expect(both.settings.get('memory')).toEqual({ value: '256mb', origin: 'flag --memory' })
    expect(both.validated).toMatchObject({ memoryBytes: 256 * 2 ** 20, dir: '/from/env' })
    expect(both.settings.get('log')).toEqual({ value: 'info', origin: 'default' })
  })

  it('of a tier is one of its own', () => {
    const config = load(file, {}, { 'tiers.hdd.path': '/mnt/other' })
    expect(config.open.tiers).toEqual({ hdd: { path: '/mnt/other', floor: '1gb' } })
    expect(config.settings.get('tiers.hdd.floor')?.value).toBe('1gb')
  })

  it('is read from the file that RAMCACHE_CONFIG names, and not from the working directory', () => {
    const other = join(folder, 'other.json')
    writeFileSync(other, '{ "dir": "/other" }')
    expect(load('{ "dir": "/here" }', { RAMCACHE_CONFIG: other }).open.dir).toBe('/other')
  })
})

describe('what is refused', () => {
  it.each([
    ['a misspelt key', '{ "memry": "1gb" }', ['ramcache.json', 'did you mean memory?']],
    ['a misspelt key of a tier', '{ "dir": "d", "tiers": { "sdd": {} } }', ['tiers', 'did you mean ssd?']],
    ['a key of later versions', '{ "dir": "d", "peers": [] }', ['peers', 'not supported by this version']],
    ['a size without a unit', '{ "dir": "d", "memory": "12 parsecs" }', ['memory', '12 parsecs']],
    ['too little memory', '{ "dir": "d", "memory": "1kb" }', ['below the minimum']],
    [
      'a metrics address without a port',
      '{ "dir": "d", "metrics": "localhost" }',
      ['HOST:PORT', 'localhost'],
    ],
    ['an unknown log level', '{ "dir": "d", "log": "loud" }', ['error, warn, info', 'loud']],
    ['what is no JSON', '{ "dir": }', ['line 1, column', 'ramcache.json']],
    ['what is no object', '[]', ['must be an object']],
    ['no directory', '{}', ['--dir', 'RAMCACHE_DIR']],
    ['a daemon without a socket', '{ "dir": "d", "listen": false }', ['nobody can reach']],
  ])('%s', (_, text, parts) => {
    const error = (() => {
      try {
        load(text)
      } catch (caught) {
        return caught as Error & { code: string }
      }
      throw new Error('was not refused')
    })()
    expect(error.code).toBe('ERR_RAMCACHE_CONFIG')
    for (const part of parts) expect(error.message).toContain(part)
  })

  it('a file that was named and is not there', () => {
    mkdirSync(join(folder, 'empty'))
    const sources = { flags: new Map(), env: {}, file: 'empty/none.json', cwd: folder }
    expect(() => loadConfig(sources)).toThrow('none.json')
  })
})

it('a changed value leaves comments and order alone', () => {
  const text = '{\n  // Why so much.\n  "memory": "1gb",\n  "dir": "/d"\n}\n'
  expect(changedConfig(text, 'memory', '2gb')).toBe(text.replace('1gb', '2gb'))
  expect(JSON.parse(changedConfig('', 'tiers.ssd.path', '/ssd'))).toEqual({
    tiers: { ssd: { path: '/ssd' } },
  })
  expect(changedConfig(text, 'dir', undefined)).not.toContain('/d')
})

it('the schema knows the keys that are taken, and no others', () => {
  const path = new URL('../../schema/ramcache.schema.json', import.meta.url)
  const { properties } = JSON.parse(readFileSync(path, 'utf8'))
  const tcp = { host: '::1', port: 1, passwordFile: 'x', tls: { cert: 'x', key: 'x', ca: 'x' } }
  expect(Object.keys(properties.tcp.properties).sort()).toEqual(Object.keys(tcp).sort())
  for (const name of Object.keys(properties)) {
    const value =
      { log: 'warn', metrics: 'localhost:1', memory: '1mb', tcp, tiers: {}, namespaces: {} }[name] ?? 'x'
    expect(() => load(JSON.stringify({ dir: 'd', [name]: value })), name).not.toThrow()
  }
  const { namespaces, tiers } = properties
  const settings = { ttl: 1, durability: 'async', frozen: true, ack: 'local' }
  expect(Object.keys(namespaces.additionalProperties.properties).sort()).toEqual(Object.keys(settings).sort())
  expect(() => load(JSON.stringify({ dir: 'd', namespaces: { n: settings } }))).not.toThrow()
  const ssd = { path: '/s', floor: 1, budget: '1gb' }
  expect(Object.keys(tiers.properties.ssd.anyOf[1].properties).sort()).toEqual(Object.keys(ssd).sort())
  expect(() => load(JSON.stringify({ dir: 'd', tiers: { ssd } }))).not.toThrow()
})
