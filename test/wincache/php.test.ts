/** The shim of `examples/php` against a daemon: what PHP sees, and what PHP and Node see of each other. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  closeSync,
  wincache_ucache_get as get,
  wincache_ucache_inc as inc,
  wincache_lock as lock,
  openSync,
  type ScacheInfo,
  wincache_ucache_set as set,
  type UcacheInfo,
  wincache_unlock as unlock,
  wincache_scache_info,
  wincache_ucache_clear,
  wincache_ucache_info,
} from '../../src/wincache.ts'
import { Served } from '../clients/support.ts'

const script = fileURLToPath(new URL('php.php', import.meta.url))
const from = 'php-cli php-redis'

let served: Served

/** What the code returns; of JSON's kinds. Anything that goes wrong in PHP fails. */
async function php(code: string, warnings: readonly unknown[] = []): Promise<unknown> {
  const env = { ...process.env, RAMCACHE_SOCKET: served.socket }
  const child = spawn('php', ['-d', 'display_errors=stderr', script, code], { env })
  const said = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text
    })
  }
  const exitCode = await new Promise((resolve, reject) => {
    child.once('error', () => reject(new Error(`php is not installed; on Debian: apt-get install ${from}`)))
    child.once('close', resolve)
  })
  expect({ exitCode, stderr: said.stderr }).toEqual({ exitCode: 0, stderr: '' })
  const answer = JSON.parse(said.stdout)
  expect(answer.warnings).toEqual(warnings)
  return answer.result
}

beforeAll(async () => {
  served = await Served.start()
  openSync({ socket: served.socket })
})
afterAll(async () => {
  closeSync()
  await served.end()
})
beforeEach(() => {
  vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  wincache_ucache_clear()
})

describe('in PHP', () => {
  it('all functions are there', async () => {
    const ours = Object.keys(await import('../../src/wincache.ts')).filter((name) =>
      name.startsWith('wincache_'),
    )
    expect(ours.length).toBe(22)
    const code = `return array_filter(${JSON.stringify(ours)}, fn ($name) => !function_exists($name));`
    expect(await php(code)).toEqual([])
  })

  it('values come back as they were', async () => {
    const code = `
      $object = new ArrayObject([1, 'two']);
      $values = ['text', '', 'naïve', "\\xff\\x00bytes", '5', 5, -5, 0, 1.5, PHP_INT_MAX, PHP_INT_MIN, 2 ** 53 - 1, 2 ** 53, true, false, null,
        [], [1, 2, 3], ['a' => 1, 'b' => ['c' => [1.5, null, true, 'x']]], [5 => 'five', 3 => 'three'], [1 => 'a', 'b' => 2],
        ['float' => 5.0], ['big' => PHP_INT_MAX], ["\\xff" => 1], ['__proto__' => 1], $object, ['in' => $object],
        ['rows' => [['id' => 1, 'name' => 'Ada'], ['id' => 2, 'name' => 'Bob']]], "\\0PHP\\0\\xff"];
      $wrong = [];
      foreach ($values as $value) {
        if (wincache_ucache_set('key', $value) !== true) $wrong[] = ['not set', serialize($value)];
        $found = wincache_ucache_get('key', $success);
        if (!$success || serialize($found) !== serialize($value)) $wrong[] = [serialize($value), serialize($found)];
      }
      return $wrong;`
    expect(await php(code)).toEqual([])
  })

  it('the functions do what they do in Node', async () => {
    const code = `
      $r = [];
      $r['miss'] = [wincache_ucache_get('none', $ok), $ok];
      $r['set'] = [wincache_ucache_set(['a' => 1, 'b' => 'two', '' => 3, 7 => 'seven'], null, 60), wincache_ucache_get(['a', 'none', 'b', '', 7], $ok), $ok];
      $r['add'] = [wincache_ucache_add('a', 9), wincache_ucache_add('c', 9), wincache_ucache_add(['c' => 1, 'd' => 2])];
      $r['count'] = [wincache_ucache_inc('a', 4, $ok), $ok, wincache_ucache_dec('a', 10), wincache_ucache_inc('a', 1.9), wincache_ucache_inc('none', 1, $ok), $ok, wincache_ucache_inc('b')];
      $r['cas'] = [wincache_ucache_cas('a', -4, 8), wincache_ucache_cas('a', -4, 9), wincache_ucache_cas('none', 1, 2), wincache_ucache_cas('b', 1, 2)];
      $r['wrap'] = [wincache_ucache_set('w', PHP_INT_MAX), wincache_ucache_inc('w') === PHP_INT_MIN, wincache_ucache_dec('w') === PHP_INT_MAX];
      $r['exists'] = [wincache_ucache_exists('a'), wincache_ucache_exists('none')];
      $r['delete'] = [wincache_ucache_delete('b'), wincache_ucache_delete('b'), wincache_ucache_delete(['none', 'c', 7]), wincache_ucache_delete(['none'])];
      $r['keys'] = [wincache_ucache_set('', 1), wincache_ucache_set(str_repeat('k', 4097), 1), wincache_ucache_set("cut\\0here", 1), wincache_ucache_get('cut'), wincache_ucache_get([1.5])];
      $r['refused'] = [wincache_ucache_set('r', fopen('php://memory', 'r')), wincache_ucache_set('r', 1, -1), wincache_ucache_clear(1)];
      $entry = wincache_ucache_info(false, 'a')['ucache_entries'][1];
      $r['info'] = [$entry['key_name'], $entry['value_type'], $entry['ttl_seconds'], wincache_ucache_info(true)['ucache_entries']];
      $r['memory'] = wincache_ucache_meminfo()['memory_total'] === 16 * 1024 * 1024;
      $r['clear'] = [wincache_ucache_clear(), wincache_ucache_exists('a'), wincache_ucache_info(true)['total_item_count']];
      try { wincache_ucache_set('f', fn () => 1); } catch (Exception $e) { $r['closure'] = $e->getMessage(); }
      return $r;`
    const long = 'function can only be called for key whose value is long'
    expect(
      await php(code, [
        'wincache_ucache_add(): function called with a key which already exists',
        `wincache_ucache_inc(): ${long}`,
        `wincache_ucache_cas(): ${long}`,
        'wincache_ucache_set(): key cannot be blank string',
        'wincache_ucache_get(): key element in the array can only be string or integer',
        'wincache_ucache_set(): value cannot be a resource',
        'wincache_ucache_set(): ttl cannot be negative',
      ]),
    ).toEqual({
      miss: [false, false],
      set: [[], { a: 1, b: 'two', '': 3, 7: 'seven' }, true],
      add: [false, true, { c: -1 }],
      count: [5, true, -5, -4, false, false, false],
      cas: [true, false, false, false],
      wrap: [true, true, true],
      exists: [true, false],
      delete: [true, false, ['c', 7], false],
      keys: [false, false, true, 1, false],
      refused: [false, false, false],
      info: ['a', 'long', 60, []],
      memory: true,
      clear: [true, false, 0],
      closure: "Serialization of 'Closure' is not allowed",
    })
  })

  it('sessions last while they are read, and Node sees them', async () => {
    const code = `
      ini_set('session.use_cookies', '0');
      ini_set('session.cache_limiter', '');
      ini_set('session.gc_maxlifetime', '600');
      session_set_save_handler(new RamcacheWincacheSessions(), true);
      $visits = [];
      foreach ([1, 2, 3] as $time) {
        session_id('abc');
        session_start();
        $visits[] = $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
        session_write_close();
      }
      $rows = wincache_scache_info()['scache_entries'];
      session_id('gone');
      session_start();
      session_destroy();
      return [$visits, count($rows), $rows[1]['key_name'], $rows[1]['is_session'], $rows[1]['ttl_seconds']];`
    expect(await php(code)).toEqual([[1, 2, 3], 1, 'abc', true, 600])
    const found = wincache_scache_info() as ScacheInfo
    expect(found).toMatchObject({ total_item_count: 1, total_hit_count: 2 })
    expect(found.scache_entries[1]).toMatchObject({
      key_name: 'abc',
      value_size: 11,
      is_session: true,
      ttl_seconds: 600,
    })
  })
})

describe('between PHP and Node', () => {
  it('what Node sets, PHP gets', async () => {
    set({
      text: 'naïve',
      int: 5,
      float: 1.5,
      yes: true,
      null: null,
      bytes: Buffer.from([255, 0]),
      big: 2n ** 63n - 1n,
    })
    set('list', [1, 'two', [3]], 60)
    set('object', { name: 'Ada', tags: ['x'], at: { deep: 1.5 } })
    const code = `
      $r = wincache_ucache_get(['text', 'int', 'float', 'yes', 'null', 'list', 'object']);
      $r['bytes'] = bin2hex(wincache_ucache_get('bytes'));
      $r['big'] = wincache_ucache_get('big') === PHP_INT_MAX;
      $r['ttl'] = wincache_ucache_info(false, 'list')['ucache_entries'][1]['ttl_seconds'];
      $r['inc'] = wincache_ucache_inc('int', 2);
      return $r;`
    expect(await php(code)).toEqual({
      text: 'naïve',
      int: 5,
      float: 1.5,
      yes: true,
      null: null,
      list: [1, 'two', [3]],
      object: { name: 'Ada', tags: ['x'], at: { deep: 1.5 } },
      bytes: 'ff00',
      big: true,
      ttl: 60,
      inc: 7,
    })
    expect(get('int')).toBe(7)
  })

  it('what PHP sets, Node gets', async () => {
    const code = `
      wincache_ucache_set(['text' => 'naïve', 'int' => 5, 'float' => 1.5, 'yes' => true, 'null' => null, 'bytes' => "\\xff\\0", 'big' => PHP_INT_MAX]);
      wincache_ucache_set('list', [1, 'two', [3]], 60);
      wincache_ucache_set('map', ['rows' => [['id' => 1, 'name' => 'Ada'], ['id' => 2, 'name' => 'Bob', 'x' => []]], 'n' => -7]);
      wincache_ucache_set('own', new ArrayObject([1]));
      return wincache_ucache_inc('int');`
    expect(await php(code)).toBe(6)
    expect(get(['text', 'int', 'float', 'yes', 'null', 'bytes', 'big', 'list', 'map'])).toEqual({
      text: 'naïve',
      int: 6,
      float: 1.5,
      yes: true,
      null: null,
      bytes: Buffer.from([255, 0]),
      big: 2n ** 63n - 1n,
      list: [1, 'two', [3]],
      map: {
        rows: [
          { id: 1, name: 'Ada' },
          { id: 2, name: 'Bob', x: [] },
        ],
        n: -7,
      },
    })
    // Only PHP can read its objects.
    expect(Buffer.isBuffer(get('own'))).toBe(true)
    expect(wincache_ucache_info(false, 'list') as UcacheInfo).toMatchObject({
      ucache_entries: { 1: { ttl_seconds: 60 } },
    })
    expect(inc('int', 4)).toBe(10)
  })

  it('increments are not lost', async () => {
    set('count', 0)
    set('big', 2n ** 60n)
    const code = `for ($i = 0; $i < 300; $i++) { wincache_ucache_inc('count'); wincache_ucache_inc('big'); } return true;`
    const running = Promise.all([php(code), php(code)])
    for (let done = 0; done < 300; done++) {
      inc('count')
      inc('big')
      await new Promise(setImmediate)
    }
    await running
    expect(get('count')).toBe(900)
    expect(get('big')).toBe(2n ** 60n + 900n)
  })

  it('a lock is one, and is let go when PHP ends', async () => {
    expect(
      await php(
        `return [wincache_lock('a', true), wincache_lock('a', true), wincache_unlock('a'), wincache_unlock('a')];`,
      ),
    ).toEqual([true, false, true, false])
    set('count', 0)
    const code = `
      for ($i = 0; $i < 50; $i++) {
        wincache_lock('a', true);
        wincache_ucache_set('count', wincache_ucache_get('count') + 1);
        wincache_unlock('a');
      }
      return wincache_lock('left', true);`
    const running = php(code)
    for (let done = 0; done < 50; done++) {
      expect(lock('a', true)).toBe(true)
      set('count', (get('count') as number) + 1)
      expect(unlock('a')).toBe(true)
      await new Promise(setImmediate)
    }
    expect(await running).toBe(true)
    expect(get('count')).toBe(100)
    openSync({ socket: served.socket, lockWait: '4s' })
    expect(lock('left', true)).toBe(true)
  })
})
