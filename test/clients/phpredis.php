<?php
// phpredis against a daemon: php phpredis.php SOCKET PART. Prints what it found as JSON.
[, $socket, $part] = $argv;

function client(string $socket): Redis
{
    $redis = new Redis();
    $redis->connect($socket);
    return $redis;
}

function strings(Redis $redis): array
{
    $found = [];
    $redis->flushAll();
    $found['set'] = $redis->set('key', 'value', ['nx', 'ex' => 100]);
    $found['again'] = $redis->set('key', 'other', ['nx', 'px' => 100000]);
    $found['get'] = $redis->get('key');
    $found['none'] = $redis->get('none');
    $found['ttl'] = $redis->ttl('key') > 98;
    $redis->set('bytes', "\x00\xff\r\n");
    $found['bytes'] = bin2hex($redis->get('bytes'));
    $found['mset'] = $redis->mSet(['a' => 1, 'b' => 2]);
    $found['mget'] = $redis->mGet(['a', 'b', 'none']);
    $found['incr'] = [$redis->incr('n'), $redis->incrBy('n', 41), $redis->incrByFloat('n', 0.5)];
    $found['setex'] = $redis->setex('short', 100, 'x');
    $found['exists'] = $redis->exists('a', 'none');
    $found['type'] = $redis->type('a') === Redis::REDIS_STRING;
    $found['del'] = $redis->del('a', 'b', 'none');
    $found['error'] = $redis->lPush('list', 'x');
    $found['lastError'] = rtrim($redis->getLastError());
    $redis->setOption(Redis::OPT_SERIALIZER, Redis::SERIALIZER_PHP);
    $redis->set('array', ['name' => 'Ada', 'tags' => [1, 2]]);
    $found['serialized'] = $redis->get('array');
    return $found;
}

function transactions(Redis $redis): array
{
    $redis->flushAll();
    $found = ['multi' => $redis->multi()->set('a', '1')->incr('a')->get('a')->exec()];
    $found['pipeline'] = $redis->pipeline()->set('b', '1')->get('b')->get('none')->exec();
    $redis->watch('a');
    client($GLOBALS['socket'])->set('a', 'changed');
    $found['watched'] = $redis->multi()->set('a', 'mine')->exec();
    $found['kept'] = $redis->get('a');
    return $found;
}

function scans(Redis $redis): array
{
    $redis->flushAll();
    for ($number = 0; $number < 500; $number++) {
        $redis->set("key:$number", 'x');
    }
    $redis->set('other', 'x');
    $redis->setOption(Redis::OPT_SCAN, Redis::SCAN_RETRY);
    $keys = [];
    $cursor = null;
    while (($page = $redis->scan($cursor, 'key:*', 50)) !== false) {
        foreach ($page as $key) {
            $keys[$key] = true;
        }
    }
    return ['keys' => count($keys), 'size' => $redis->dbSize(), 'info' => $redis->info()['role']];
}

function subscribes(Redis $redis): array
{
    $heard = [];
    try {
        $redis->subscribe(['news'], function (Redis $redis, string $channel, string $message) use (&$heard) {
            if ($message === 'ready?') {
                return;
            }
            $heard[] = "$channel $message";
            $redis->close();
        });
    } catch (RedisException $exception) {
        // The way out of a subscription.
    }
    return $heard;
}

function persistent(string $socket): array
{
    $ids = [];
    foreach ([1, 2] as $time) {
        $redis = new Redis();
        $redis->pconnect($socket, 0, 1.0, 'same');
        $ids[] = $redis->rawCommand('CLIENT', 'ID');
        unset($redis);
    }
    $redis = new Redis();
    $redis->pconnect($socket, 0, 1.0, 'same');
    $redis->select(2);
    $redis->set('key', 'in 2');
    $redis->select(0);
    return ['same' => $ids[0] === $ids[1], 'other' => $redis->exists('key')];
}

function sessions(string $socket): array
{
    client($socket)->flushAll();
    ini_set('session.save_handler', 'redis');
    ini_set('session.save_path', "unix://$socket?prefix=SESS:");
    ini_set('session.gc_maxlifetime', '600');
    ini_set('session.use_cookies', '0');
    ini_set('session.cache_limiter', '');
    $visits = [];
    foreach ([1, 2, 3] as $time) {
        session_id('abc');
        session_start();
        $_SESSION['visits'] = ($_SESSION['visits'] ?? 0) + 1;
        $visits[] = $_SESSION['visits'];
        session_write_close();
    }
    $ttl = client($socket)->ttl('SESS:abc');
    session_id('abc');
    session_start();
    session_destroy();
    return ['visits' => $visits, 'ttl' => $ttl > 590 && $ttl <= 600, 'left' => client($socket)->dbSize()];
}

function locks(string $socket): array
{
    client($socket)->flushAll();
    ini_set('session.save_handler', 'redis');
    ini_set('session.save_path', "unix://$socket?prefix=SESS:");
    ini_set('session.use_cookies', '0');
    ini_set('session.cache_limiter', '');
    ini_set('redis.session.locking_enabled', '1');
    ini_set('redis.session.lock_expire', '1');
    session_id('abc');
    session_start();
    $_SESSION['user'] = 'Ada';
    $held = client($socket)->ttl('SESS:abc_LOCK');
    // There are no scripts, so the lock ends by its expiry.
    @session_write_close();
    $watching = client($socket);
    while ($watching->exists('SESS:abc_LOCK')) {
    }
    ini_set('redis.session.locking_enabled', '0');
    session_id('abc');
    session_start();
    return ['held' => $held >= 0 && $held <= 1, 'user' => $_SESSION['user']];
}

$parts = [
    'strings' => fn () => strings(client($socket)),
    'transactions' => fn () => transactions(client($socket)),
    'scans' => fn () => scans(client($socket)),
    'subscribes' => fn () => subscribes(client($socket)),
    'persistent' => fn () => persistent($socket),
    'sessions' => fn () => sessions($socket),
    'locks' => fn () => locks($socket),
];
echo json_encode($parts[$part]());
