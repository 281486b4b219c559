<?php
// As in the skeleton of an application, with a limit to how long Redis may take.
$of = fn(int $database) => [
    'host' => (require dirname(__DIR__) . '/chosen.php')['store'],
    'port' => 6379,
    'database' => $database,
    'timeout' => 1,
    'read_timeout' => 3,
];
return [
    'redis' => [
        'client' => 'phpredis',
        'options' => ['cluster' => 'redis', 'prefix' => 'laravel_database_'],
        'default' => $of(0),
        'cache' => $of(1),
    ],
];
