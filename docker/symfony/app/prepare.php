<?php
// Makes the table of sessions where they live in a database, as the handler itself would. Nodes start side by side: one makes it.
declare(strict_types=1);

require __DIR__ . '/handler.php';

use Symfony\Component\HttpFoundation\Session\Storage\Handler\PdoSessionHandler;

$handler = handler();
if ($handler instanceof PdoSessionHandler) {
    $database = new PDO(database(require __DIR__ . '/chosen.php'), 'sessions');
    try {
        $handler->createTable();
    } catch (PDOException $another) {
        // Another node has made it; else this says what is wrong.
        $database->query('SELECT 1 FROM sessions');
    }
}
