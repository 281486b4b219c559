<?php
// The session handler that the target has chosen. Everything that differs between targets is here.
declare(strict_types=1);

require 'Symfony/Component/HttpFoundation/autoload.php';

use Symfony\Component\HttpFoundation\Session\Storage\Handler\PdoSessionHandler;
use Symfony\Component\HttpFoundation\Session\Storage\Handler\RedisSessionHandler;

/** The database of this driver. Each request connects anew, so what that costs counts: the network is private, and needs no TLS. */
function database(array $chosen): string
{
    $options = $chosen['handler'] === 'pdo_pgsql' ? ';connect_timeout=3;sslmode=disable' : '';
    return substr($chosen['handler'], 4) . ":host={$chosen['store']};dbname=sessions$options";
}

function handler(): SessionHandlerInterface
{
    $chosen = require __DIR__ . '/chosen.php';
    if ($chosen['handler'] === 'redis') {
        $redis = new Redis();
        $redis->connect($chosen['store'], 6379, 1, null, 0, 3);
        return new RedisSessionHandler($redis);
    }
    $locks = $chosen['locking'] === 'none' ? PdoSessionHandler::LOCK_NONE : PdoSessionHandler::LOCK_TRANSACTIONAL;
    return new PdoSessionHandler(
        database($chosen),
        ['db_username' => 'sessions', 'lock_mode' => $locks],
    );
}
