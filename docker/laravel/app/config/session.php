<?php
// As in the skeleton of an application, but for the driver.
return [
    'driver' => 'redis',
    'lifetime' => (require dirname(__DIR__) . '/chosen.php')['lifetime_s'] / 60,
    'expire_on_close' => false,
    'encrypt' => false,
    'connection' => null,
    'store' => null,
    'lottery' => [2, 100],
    'cookie' => 'laravel_session',
    'path' => '/',
    'domain' => null,
    'secure' => null,
    'http_only' => true,
    'same_site' => 'lax',
];
