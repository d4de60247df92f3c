<?php

declare(strict_types=1);

/*
 * The functions of WinCache over a ramcache daemon, for PHP without the extension: phpredis talks to the daemon's Unix socket.
 * The entries are those of `ramcache/wincache` in Node. README.md beside this file says what is common to both.
 *
 *     define('RAMCACHE_SOCKET', '/run/ramcache/ramcache.sock');   // or the environment variable of that name
 *     require 'wincache_shim.php';
 */

/** Words with the daemon, and values as it stores them. */
final class RamcacheWincache
{
    public const USERS = 'wincache';
    public const LOCKS = 'wincache-locks';
    public const SESSIONS = 'wincache-sessions';
    private const COUNTS = 'wincache-counts';

    /** Types of values: docs/FORMAT.md. */
    private const ASCII = 1;
    private const UTF8 = 2;
    private const NUMBER = 3;
    private const BIGINT = 4;
    private const CONSTANT = 5;
    private const BYTES = 6;
    private const TYPED_ARRAY = 7;
    private const OBJECT = 9;
    private const CLONED = 10;
    private const BLOB = 11;

    /** Before what only PHP can read. */
    private const SERIALIZED = "\0PHP\0";
    /** The largest integer that is exact in Node; larger ones are bigints there. */
    private const EXACT = 9007199254740991;
    private const DEPTH = 100;

    private static ?Redis $redis = null;
    /** @var array<string, int> */
    private static array $counts = [];

    public static function redis(): Redis
    {
        if (self::$redis === null) {
            $socket = defined('RAMCACHE_SOCKET') ? constant('RAMCACHE_SOCKET') : getenv('RAMCACHE_SOCKET');
            if (!is_string($socket) || $socket === '') {
                throw new RuntimeException('RAMCACHE_SOCKET does not say where the daemon listens');
            }
            $redis = new Redis();
            $redis->connect(preg_replace('~^unix://~', '', $socket), 0, 5.0);
            $redis->rawCommand('RC.NS', self::USERS);
            self::$redis = $redis;
            register_shutdown_function([self::class, 'flush']);
        }
        return self::$redis;
    }

    /** The answer; null for nil. What the daemon refuses is an exception, whose message begins with its code. */
    public static function call(string ...$words): mixed
    {
        $redis = self::redis();
        $redis->clearLastError();
        try {
            $answer = $redis->rawCommand(...$words);
            $error = $redis->getLastError();
        } catch (RedisException $exception) {
            // Of errors that do not begin with ERR phpredis makes exceptions.
            $error = $exception->getMessage();
        }
        if ($error !== null) {
            throw new RuntimeException(preg_replace('~^RC ~', '', $error));
        }
        return $answer === false ? null : $answer;
    }

    /** Runs what may be refused: then it is a warning and false. */
    public static function attempt(callable $work): mixed
    {
        try {
            return $work();
        } catch (RuntimeException | RedisException $error) {
            return self::warn($error->getMessage());
        }
    }

    public static function warn(string $reason): bool
    {
        // The function of WinCache that was called, not those of this file.
        foreach (debug_backtrace(DEBUG_BACKTRACE_IGNORE_ARGS) as ['function' => $name]) {
            if (str_starts_with($name, 'wincache_')) {
                $reason = "$name(): $reason";
                break;
            }
        }
        trigger_error($reason, E_USER_WARNING);
        return false;
    }

    /** Up to its first NUL; null for what is no key. */
    public static function key(mixed $key, bool $isElement = false): ?string
    {
        $text = explode("\0", (string) $key, 2)[0];
        if ($text === '' && !$isElement) {
            self::warn('key cannot be blank string');
            return null;
        }
        // The store has no empty key, and no other one holds a NUL.
        return strlen($text) > 4096 ? null : ($text === '' ? "\0" : $text);
    }

    /** @return array{string, string} type and bytes */
    public static function encode(mixed $value): array
    {
        if ($value === null || is_bool($value)) {
            return [(string) self::CONSTANT, chr($value === null ? 0 : ($value ? 2 : 1))];
        }
        if (is_int($value)) {
            return abs($value) <= self::EXACT
                ? [(string) self::NUMBER, pack('e', $value)]
                : [(string) self::BIGINT, self::bigint($value)];
        }
        if (is_float($value)) {
            return [(string) self::NUMBER, pack('e', $value)];
        }
        if (is_string($value) && self::isText($value)) {
            $isAscii = preg_match('~[\x80-\xff]~', $value) === 0;
            return [(string) ($isAscii ? self::ASCII : self::UTF8), $value];
        }
        if (is_string($value) && !str_starts_with($value, self::SERIALIZED)) {
            return [(string) self::BYTES, $value];
        }
        if (is_array($value) && self::isShared($value, 0)) {
            return [(string) self::OBJECT, self::packed($value)];
        }
        return [(string) self::BYTES, self::SERIALIZED . serialize($value)];
    }

    /** Of an answer of RC.GET or RC.ENTRY in the namespace of the user cache. */
    public static function decode(int $type, string $bytes, string $key): mixed
    {
        switch ($type) {
            case self::ASCII:
            case self::UTF8:
                return $bytes;
            case self::NUMBER:
                $number = unpack('e', $bytes)[1];
                return floor($number) === $number && abs($number) <= self::EXACT ? (int) $number : $number;
            case self::BIGINT:
                $sign = ord($bytes[-1]) >= 0x80 ? "\xff" : "\0";
                if (strlen($bytes) > 8) {
                    throw new RuntimeException('the stored integer has more than 64 bits');
                }
                return unpack('P', str_pad($bytes, 8, $sign))[1];
            case self::CONSTANT:
                return [null, false, true][ord($bytes)];
            case self::BYTES:
                $isSerialized = str_starts_with($bytes, self::SERIALIZED);
                return $isSerialized ? unserialize(substr($bytes, strlen(self::SERIALIZED))) : $bytes;
            case self::TYPED_ARRAY:
                return substr($bytes, 1);
            case self::BLOB:
                return self::call('GET', $key);
            default:
                // What Node packs is read as JSON, which the daemon makes of it.
                return json_decode((string) self::call('GET', $key), true, 512, JSON_THROW_ON_ERROR);
        }
    }

    /** [whether it is there, value]. */
    public static function get(string $key): array
    {
        for ($attempt = 0; ; $attempt++) {
            $found = self::call('RC.GET', self::USERS, $key);
            if ($found === null) {
                return [false, false];
            }
            try {
                return [true, self::decode((int) $found[0], $found[1], $key)];
            } catch (JsonException $error) {
                // It may have been replaced between the two looks.
                if ($attempt === 3) {
                    throw new RuntimeException($error->getMessage());
                }
            }
        }
    }

    public static function isLong(int $type, string $bytes): bool
    {
        return $type === self::BIGINT ? strlen($bytes) <= 8
            : $type === self::NUMBER && is_int(self::decode($type, $bytes, ''));
    }

    /** A number that all processes add to. */
    public static function count(string $name, int $by = 1): void
    {
        self::$counts[$name] = (self::$counts[$name] ?? 0) + $by;
    }

    public static function flush(): void
    {
        foreach (self::$counts as $name => $by) {
            if ($by > 0) {
                self::attempt(fn () => self::call('RC.INCR', self::COUNTS, $name, (string) $by, 'INIT', '0'));
            }
        }
        self::$counts = [];
    }

    public static function total(string $name): int
    {
        self::flush();
        $found = self::call('RC.GET', self::COUNTS, $name);
        return $found === null ? 0 : (int) unpack('e', $found[1])[1];
    }

    /** Entries of a namespace as WinCache shows them, without reading them: that would be a use. */
    public static function entries(string $namespace, ?string $key): array
    {
        $keys = [];
        if ($key !== null) {
            $keys[] = $key;
        } else {
            $cursor = '';
            do {
                [$cursor, $page] = self::call('RC.SCAN', $namespace, '', 'any', '1000', $cursor);
                array_push($keys, ...array_column($page, 0));
            } while ($cursor !== '');
        }
        $rows = [];
        foreach ($keys as $name) {
            $entry = self::call('RC.ENTRY', $namespace, $name, 'LOOK');
            if ($entry !== null) {
                $rows[count($rows) + 1] = self::row($name, $entry, $namespace === self::SESSIONS);
            }
        }
        return $rows;
    }

    private static function row(string $name, array $entry, bool $isSession): array
    {
        [$type, $bytes, , $createdAt, $expiresAt, , $tags] = $entry;
        $ttl = (int) $expiresAt === 0 ? 0 : (int) round(($expiresAt - $createdAt) / 1000);
        foreach ($tags as $tag) {
            $ttl = str_starts_with($tag, 'ttl:') ? (int) substr($tag, 4) : $ttl;
        }
        return [
            'key_name' => $name === "\0" ? '' : $name,
            'value_type' => self::typeName((int) $type, $bytes),
            'value_size' => strlen($bytes),
            'is_session' => $isSession,
            'ttl_seconds' => $ttl,
            'age_seconds' => max(0, intdiv((int) (microtime(true) * 1000) - $createdAt, 1000)),
            'hitcount' => 0,
        ];
    }

    private static function typeName(int $type, string $bytes): string
    {
        if ($type === self::CONSTANT) {
            return ord($bytes) === 0 ? 'null' : 'bool';
        }
        if ($type === self::BYTES && str_starts_with($bytes, self::SERIALIZED)) {
            return $bytes[strlen(self::SERIALIZED)] === 'a' ? 'array' : 'object';
        }
        if ($type === self::NUMBER || $type === self::BIGINT) {
            return self::isLong($type, $bytes) ? 'long' : 'double';
        }
        return $type > self::TYPED_ARRAY && $type < self::BLOB ? 'array' : 'string';
    }

    public static function stats(): array
    {
        return json_decode((string) self::call('RC.STATS'), true, 512, JSON_THROW_ON_ERROR);
    }

    public static function memory(): array
    {
        $ram = self::stats()['tiers']['ram'];
        return [
            'memory_total' => $ram['budgetBytes'],
            'memory_free' => max(0, $ram['budgetBytes'] - $ram['bytes'] - $ram['overheadBytes']),
            'num_used_blks' => $ram['entries'],
            'num_free_blks' => 0,
            'memory_overhead' => $ram['overheadBytes'],
        ];
    }

    public static function totals(string $namespace, string $kind): array
    {
        $stats = self::stats();
        return [
            'total_cache_uptime' => $stats['uptimeSeconds'],
            'is_local_cache' => false,
            'total_item_count' => $stats['namespaces'][$namespace]['entries'] ?? 0,
            'total_hit_count' => self::total("$kind hits"),
            'total_miss_count' => self::total("$kind misses"),
        ];
    }

    private static function isText(string $value): bool
    {
        return preg_match('~~u', $value) === 1;
    }

    /** Whether Node would have it as PHP has it, and PHP again: lists and texts as keys, no 5.0, nothing that is no text. */
    private static function isShared(mixed $value, int $depth): bool
    {
        if (!is_array($value)) {
            return $value === null || is_bool($value)
                || (is_int($value) && abs($value) <= self::EXACT)
                || (is_float($value) && is_finite($value) && floor($value) !== $value)
                || (is_string($value) && self::isText($value));
        }
        if ($depth > self::DEPTH) {
            return false;
        }
        $isList = array_is_list($value);
        foreach ($value as $key => $element) {
            $isKey = is_string($key) && self::isText($key) && !str_starts_with($key, '__');
            if ((!$isList && !$isKey) || !self::isShared($element, $depth + 1)) {
                return false;
            }
        }
        return true;
    }

    /** MessagePack as Node reads it: what has texts as keys is a record, that is its keys and then its values. */
    private static function packed(mixed $value): string
    {
        if ($value === null || is_bool($value)) {
            return $value === null ? "\xc0" : ($value ? "\xc3" : "\xc2");
        }
        if (is_int($value) || is_float($value)) {
            // Longer integers would be bigints in Node, and these are exact.
            return "\xcb" . pack('E', $value);
        }
        if (is_string($value)) {
            return "\xdb" . pack('N', strlen($value)) . $value;
        }
        $elements = implode('', array_map([self::class, 'packed'], array_values($value)));
        $head = fn (int $count) => "\xdd" . pack('N', $count);
        if (array_is_list($value)) {
            return $head(count($value)) . $elements;
        }
        $keys = implode('', array_map([self::class, 'packed'], array_keys($value)));
        return "\xd4\x72\x40" . $head(count($value)) . $keys . $elements;
    }

    /** Two's complement, little-endian, without bytes that only repeat the sign. */
    private static function bigint(int $value): string
    {
        $bytes = pack('P', $value);
        $sign = $value < 0 ? "\xff" : "\0";
        while (strlen($bytes) > 1 && $bytes[-1] === $sign && (ord($bytes[-2]) >= 0x80) === ($value < 0)) {
            $bytes = substr($bytes, 0, -1);
        }
        return $bytes;
    }
}

/** Sessions in the store, which last while they are used: session_set_save_handler(new RamcacheWincacheSessions()). */
final class RamcacheWincacheSessions implements SessionHandlerInterface, SessionUpdateTimestampHandlerInterface
{
    public function open(string $path, string $name): bool
    {
        return true;
    }

    public function close(): bool
    {
        return true;
    }

    public function read(string $id): string|false
    {
        $found = RamcacheWincache::call('RC.GET', RamcacheWincache::SESSIONS, $id);
        RamcacheWincache::count($found === null ? 'scache misses' : 'scache hits');
        return $found === null ? '' : $found[1];
    }

    public function write(string $id, string $data): bool
    {
        $idle = (string) (1000 * max(1, (int) ini_get('session.gc_maxlifetime')));
        [$type, $bytes] = RamcacheWincache::encode($data);
        RamcacheWincache::call('RC.SET', RamcacheWincache::SESSIONS, $id, $type, $bytes, 'IDLE', $idle);
        return true;
    }

    public function destroy(string $id): bool
    {
        RamcacheWincache::call('RC.DEL', RamcacheWincache::SESSIONS, $id);
        return true;
    }

    public function gc(int $seconds): int|false
    {
        return 0;
    }

    public function validateId(string $id): bool
    {
        return (bool) RamcacheWincache::call('RC.HAS', RamcacheWincache::SESSIONS, $id);
    }

    /** Reading it was a use already: what has not changed is not written. */
    public function updateTimestamp(string $id, string $data): bool
    {
        return true;
    }
}

if (!extension_loaded('wincache')) {
    function wincache_ucache_get(mixed $key, ?bool &$success = null): mixed
    {
        $success = false;
        $found = RamcacheWincache::attempt(function () use ($key) {
            if (!is_array($key)) {
                $name = RamcacheWincache::key($key);
                if ($name === null) {
                    return null;
                }
                $found = RamcacheWincache::get($name);
                RamcacheWincache::count($found[0] ? 'ucache hits' : 'ucache misses');
                return $found;
            }
            if (!ramcache_wincache_are_keys($key)) {
                return null;
            }
            $hits = [];
            foreach (array_unique($key) as $element) {
                $name = RamcacheWincache::key($element, true);
                [$isThere, $value] = $name === null ? [false, null] : RamcacheWincache::get($name);
                RamcacheWincache::count($isThere ? 'ucache hits' : 'ucache misses');
                if ($isThere) {
                    $hits[$element] = $value;
                }
            }
            return [true, $hits];
        });
        $success = is_array($found) && $found[0];
        return is_array($found) ? $found[1] : false;
    }

    /** Whether all of them may stand in a list of keys. */
    function ramcache_wincache_are_keys(array $keys): bool
    {
        foreach ($keys as $key) {
            if (!is_string($key) && !is_int($key)) {
                return RamcacheWincache::warn('key element in the array can only be string or integer');
            }
        }
        return true;
    }

    /** Key, type and bytes of a value; null for what cannot be stored. */
    function ramcache_wincache_words(mixed $key, mixed $value, bool $isElement): ?array
    {
        if (is_resource($value)) {
            RamcacheWincache::warn('value cannot be a resource');
            return null;
        }
        $name = RamcacheWincache::key($key, $isElement);
        return $name === null ? null : [$name, ...RamcacheWincache::encode($value)];
    }

    /** The words that say how long it lives; null for what is no time. */
    function ramcache_wincache_ttl(int $ttl): ?array
    {
        if ($ttl < 0) {
            RamcacheWincache::warn('ttl cannot be negative');
            return null;
        }
        $seconds = min($ttl, 10 * 365 * 86400);
        return $ttl === 0 ? [] : ['TTL', (string) (1000 * $seconds), 'TAGS', '1', "ttl:$ttl"];
    }

    function wincache_ucache_set(mixed $key, mixed $value = null, int $ttl = 0): bool|array
    {
        $options = ramcache_wincache_ttl($ttl);
        if ($options === null) {
            return false;
        }
        $users = RamcacheWincache::USERS;
        if (!is_array($key)) {
            $words = ramcache_wincache_words($key, $value, false);
            $set = fn () => RamcacheWincache::call('RC.SET', $users, ...$words, ...$options) !== null;
            return $words !== null && RamcacheWincache::attempt($set);
        }
        $failed = [];
        $all = [];
        foreach ($key as $element => $each) {
            $words = ramcache_wincache_words($element, $each, true);
            if ($words === null) {
                $failed[$element] = -1;
            } else {
                $all[$element] = $words;
            }
        }
        $count = (string) count($all);
        $set = fn () => RamcacheWincache::call('RC.MSET', $users, $count, ...array_merge(...array_values($all)), ...$options);
        $isSet = $all === [] || RamcacheWincache::attempt($set);
        return $isSet ? $failed : $failed + array_fill_keys(array_keys($all), -1);
    }

    function wincache_ucache_add(mixed $key, mixed $value = null, int $ttl = 0): bool|array
    {
        $options = ramcache_wincache_ttl($ttl);
        if ($options === null) {
            return false;
        }
        $add = function (mixed $key, mixed $value, bool $isElement) use ($options): ?bool {
            $words = ramcache_wincache_words($key, $value, $isElement);
            $users = RamcacheWincache::USERS;
            return $words === null ? null : RamcacheWincache::attempt(
                fn () => RamcacheWincache::call('RC.SET', $users, ...$words, ...$options, ...['NX']) !== null,
            );
        };
        if (is_array($key)) {
            $added = array_map(fn ($name, $each) => $add($name, $each, true), array_keys($key), array_values($key));
            return array_map(fn () => -1, array_filter(array_combine(array_keys($key), $added), fn ($done) => !$done));
        }
        $isAdded = $add($key, $value, false);
        return $isAdded === false
            ? RamcacheWincache::warn('function called with a key which already exists')
            : $isAdded === true;
    }

    /** Stores what $next makes of the integer there is, its expiry unchanged. null: there was none, or it is to stay. */
    function ramcache_wincache_change(string $key, callable $next): ?int
    {
        for ($attempt = 0; $attempt < 1000; $attempt++) {
            $entry = RamcacheWincache::call('RC.ENTRY', RamcacheWincache::USERS, $key, 'LOOK');
            if ($entry === null) {
                return null;
            }
            [$type, $bytes, $version, , $expiresAt, , $tags] = $entry;
            if (!RamcacheWincache::isLong((int) $type, $bytes)) {
                throw new RuntimeException('function can only be called for key whose value is long');
            }
            $value = $next(RamcacheWincache::decode((int) $type, $bytes, $key));
            if ($value === null) {
                return null;
            }
            $words = [$key, ...RamcacheWincache::encode($value), 'IFVERSION', $version];
            // TTL 0: none, whatever the namespace has.
            array_push($words, ...((int) $expiresAt === 0 ? ['TTL', '0'] : ['EXPIRESAT', (string) $expiresAt]));
            array_push($words, ...($tags === [] ? [] : ['TAGS', (string) count($tags), ...$tags]));
            if (RamcacheWincache::call('RC.SET', RamcacheWincache::USERS, ...$words) !== null) {
                return $value;
            }
        }
        throw new RuntimeException('the entry was changed by others 1000 times in a row, which is the limit');
    }

    function wincache_ucache_cas(mixed $key, int $old_value, int $new_value): bool
    {
        $name = RamcacheWincache::key($key);
        $next = fn (int $value) => $value === $old_value ? $new_value : null;
        return $name !== null
            && RamcacheWincache::attempt(fn () => ramcache_wincache_change($name, $next) !== null);
    }

    function wincache_ucache_inc(mixed $key, int|float $inc_by = 1, ?bool &$success = null): int|false
    {
        $name = RamcacheWincache::key($key);
        $by = (int) $inc_by;
        $sum = $name === null ? false : RamcacheWincache::attempt(function () use ($name, $by) {
            try {
                return (int) RamcacheWincache::call('RC.INCR', RamcacheWincache::USERS, $name, (string) $by);
            } catch (RuntimeException $error) {
                if (!str_starts_with($error->getMessage(), 'NOT_INTEGER')) {
                    throw $error;
                }
            }
            // Absent, no integer, or beyond what is exact in Node. Sums wrap, where PHP makes a float.
            $next = function (int $value) use ($by): int {
                $low = ($value & 0xffffffff) + ($by & 0xffffffff);
                return ((($value >> 32) + ($by >> 32) + ($low >> 32)) << 32) | ($low & 0xffffffff);
            };
            return ramcache_wincache_change($name, $next) ?? false;
        });
        $success = $sum !== false;
        return $sum;
    }

    function wincache_ucache_dec(mixed $key, int|float $dec_by = 1, ?bool &$success = null): int|false
    {
        return wincache_ucache_inc($key, -(int) $dec_by, $success);
    }

    function wincache_ucache_delete(mixed $key): bool|array
    {
        $delete = fn (?string $name) => $name !== null
            && (bool) RamcacheWincache::call('RC.DEL', RamcacheWincache::USERS, $name);
        return RamcacheWincache::attempt(function () use ($key, $delete) {
            if (!is_array($key)) {
                return $delete(RamcacheWincache::key($key));
            }
            if (!ramcache_wincache_are_keys($key)) {
                return false;
            }
            $gone = array_filter($key, fn ($element) => $delete(RamcacheWincache::key($element, true)));
            return $gone === [] ? false : array_values($gone);
        });
    }

    function wincache_ucache_exists(mixed $key): bool
    {
        $name = RamcacheWincache::key($key);
        return $name !== null && RamcacheWincache::attempt(
            fn () => (bool) RamcacheWincache::call('RC.HAS', RamcacheWincache::USERS, $name),
        );
    }

    function wincache_ucache_clear(mixed ...$none): bool
    {
        return $none === [] && RamcacheWincache::attempt(
            fn () => RamcacheWincache::call('RC.CLEAR', RamcacheWincache::USERS) !== null,
        );
    }

    function wincache_ucache_info(bool $summaryonly = false, ?string $key = null): array|false
    {
        $entries = fn () => $summaryonly ? [] : RamcacheWincache::entries(RamcacheWincache::USERS, $key);
        return RamcacheWincache::attempt(fn () => RamcacheWincache::totals(RamcacheWincache::USERS, 'ucache')
            + ['ucache_entries' => $entries()]);
    }

    function wincache_scache_info(bool $summaryonly = false): array|false
    {
        $entries = fn () => $summaryonly ? [] : RamcacheWincache::entries(RamcacheWincache::SESSIONS, null);
        return RamcacheWincache::attempt(fn () => RamcacheWincache::totals(RamcacheWincache::SESSIONS, 'scache')
            + ['scache_entries' => $entries()]);
    }

    function wincache_ucache_meminfo(): array|false
    {
        return RamcacheWincache::attempt(fn () => RamcacheWincache::memory());
    }

    function wincache_scache_meminfo(): array|false
    {
        return wincache_ucache_meminfo();
    }

    /** Locks of this process: name in the store, token and version. */
    final class RamcacheWincacheLocks
    {
        /** @var array<string, array{string, string}> */
        public static array $held = [];

        /** PHP cannot renew it meanwhile, as Node does. */
        public const LEASE_MS = 60_000;
        private const WAIT_S = 30;

        public static function lock(string $key, string $name): bool
        {
            if (isset(self::$held[$key])) {
                return false;
            }
            if (self::$held === []) {
                register_shutdown_function(fn () => array_map([self::class, 'unlock'], array_keys(self::$held)));
            }
            $token = bin2hex(random_bytes(16));
            $until = microtime(true) + self::WAIT_S;
            for ($pause = 1000; ; $pause = min(2 * $pause, 25_000)) {
                $version = self::set($name, $token, self::LEASE_MS, 'NX') ?? self::takeReleased($name, $token);
                if ($version !== null) {
                    self::$held[$key] = [$name, $version];
                    return true;
                }
                if (microtime(true) >= $until) {
                    return RamcacheWincache::warn('somebody else has held a lock for ' . self::WAIT_S . ' s');
                }
                usleep($pause);
            }
        }

        public static function unlock(string $key): bool
        {
            [$name, $version] = self::$held[$key] ?? [null, null];
            unset(self::$held[$key]);
            // Released only in the version that is ours.
            return $name !== null && (bool) RamcacheWincache::call('RC.DEL', RamcacheWincache::LOCKS, $name, 'IFVERSION', $version);
        }

        /** Node lets go of a lock by a null that is gone at once. */
        private static function takeReleased(string $name, string $token): ?string
        {
            $entry = RamcacheWincache::call('RC.ENTRY', RamcacheWincache::LOCKS, $name, 'LOOK');
            [$type, $null] = RamcacheWincache::encode(null);
            $isReleased = $entry !== null && (string) $entry[0] === $type && $entry[1] === $null;
            return $isReleased ? self::set($name, $token, self::LEASE_MS, 'IFVERSION', $entry[2]) : null;
        }

        private static function set(string $name, string $value, int $ttl, string ...$condition): ?string
        {
            $words = [$name, ...RamcacheWincache::encode($value), 'TTL', (string) $ttl, ...$condition];
            return RamcacheWincache::call('RC.SET', RamcacheWincache::LOCKS, ...$words);
        }
    }

    function wincache_lock(string $key, bool $isglobal = false): bool
    {
        if (strlen($key) > 150) {
            trigger_error('wincache_lock(): key is longer than 150 bytes', E_USER_ERROR);
        }
        $name = ($isglobal ? 'global' : 'pool ' . posix_getppid()) . ":$key";
        return RamcacheWincache::attempt(fn () => RamcacheWincacheLocks::lock($key, $name));
    }

    function wincache_unlock(string $key): bool
    {
        return RamcacheWincache::attempt(fn () => RamcacheWincacheLocks::unlock($key));
    }

    // Files and scripts are PHP's own: OPcache keeps them.

    function wincache_refresh_if_changed(?array $files = null): bool
    {
        if ($files !== array_filter($files ?? [], 'is_string') && $files !== null) {
            return false;
        }
        clearstatcache(true);
        return true;
    }

    function wincache_fcache_fileinfo(bool $summaryonly = false): array
    {
        return [
            'total_cache_uptime' => 0,
            'is_local_cache' => false,
            'total_file_count' => 0,
            'total_hit_count' => 0,
            'total_miss_count' => 0,
            'file_entries' => [],
        ];
    }

    function wincache_ocache_fileinfo(bool $summaryonly = false): array
    {
        return wincache_fcache_fileinfo($summaryonly);
    }

    function wincache_rplist_fileinfo(bool $summaryonly = false): array
    {
        return ['total_file_count' => 0, 'rplist_entries' => []];
    }

    function wincache_fcache_meminfo(): array
    {
        return array_fill_keys(
            ['memory_total', 'memory_free', 'num_used_blks', 'num_free_blks', 'memory_overhead'],
            0,
        );
    }

    function wincache_ocache_meminfo(): array
    {
        return wincache_fcache_meminfo();
    }

    function wincache_rplist_meminfo(): array
    {
        return wincache_fcache_meminfo();
    }
}
